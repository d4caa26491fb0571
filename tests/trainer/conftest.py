"""The tests with TensorFlow: on the processors of this machine, with nothing of the caller's environment in their way.

They run in the environment that `deploy/venv.sh trainer` makes. Nothing is skipped for lack of TensorFlow: without it
the run ends at once.
"""

import functools
import importlib.util
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.local.runs import Desk, desk_in

ROOT = Path(__file__).resolve().parents[2]
#: For this process and for all that it starts. TensorFlow reads most of them when it is imported.
ENVIRONMENT = {
    "CUDA_VISIBLE_DEVICES": "-1",  # a GPU would be as right, but not to the last digit
    "KERAS_BACKEND": "tensorflow",
    "TF_CPP_MIN_LOG_LEVEL": "2",
    "PYTHONDONTWRITEBYTECODE": "1",
}
#: What a TrainingJob sets, and what turns Keras 3 into Keras 2: each test that wants them says so.
UNSET = ("TF_CONFIG", "TF_USE_LEGACY_KERAS", "KERAS_HOME", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Several runs beside each other do the work of one: each file is run by the first that comes to it."""
    parser.addoption("--shared", metavar="FOLDER", help="an empty folder, the same for all runs that share the files")
    parser.addoption("--backwards", action="store_true", help="begin with the last file")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Turn the order of the files round; within a file it stays."""
    if config.getoption("--backwards"):
        items.sort(key=lambda item: item.path, reverse=True)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> bool | None:
    """Leave out a test whose file another run has taken; it counts there."""
    folder = item.config.getoption("--shared")
    if folder and not _is_ours(Path(folder, item.path.name)):
        return True
    return None


@functools.cache
def _is_ours(mark: Path) -> bool:
    try:
        mark.touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


def pytest_configure(config: pytest.Config) -> None:
    """Prepare the environment, before any test module can import TensorFlow."""
    for name in [*UNSET, *(name for name in os.environ if name.startswith("TRAININGJOB_"))]:
        os.environ.pop(name, None)
    os.environ.update(ENVIRONMENT)
    # what comes first stays first: another version of Keras, for example
    ours = [str(ROOT / "trainer_image"), str(ROOT)]
    given = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path and path not in ours]
    os.environ["PYTHONPATH"] = os.pathsep.join([*given, *ours])
    if importlib.util.find_spec("tensorflow") is None:
        raise pytest.UsageError(
            "these tests need TensorFlow, which this Python does not have: run `make test-trainer`, or pytest with "
            "$(deploy/venv.sh trainer)/bin/python"
        )


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    """A folder to run jobs in, with `trainingjob run`. TensorFlow takes its time to start."""
    with desk_in(tmp_path, patience=240) as desk:
        yield desk
