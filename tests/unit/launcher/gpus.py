"""A real shared library in the place of NVIDIA's, compiled on the spot, for machines without a GPU."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

GIB = 1024.0**3
#: What `nvml_library.c` tells of the GPUs that are ours: one that works, one without utilisation, one that is lost.
UTILIZATION, USED, TOTAL = 87.0, (GIB, 3 * GIB), 80 * GIB


def compiled(folder: Path, *options: str) -> Path:
    """Return `libnvidia-ml.so.1` in `folder`; skips the test where there is no C compiler."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler (gcc or cc) to build a library in NVML's place")
    path = folder / "libnvidia-ml.so.1"
    source = Path(__file__).with_name("nvml_library.c")
    command = [compiler, "-shared", "-fPIC", "-Wall", "-Werror", *options, "-o", str(path), str(source), "-lpthread"]
    subprocess.run(command, check=True, timeout=60)
    return path
