"""Images go into containerd without the layers that it has."""

import hashlib
import importlib.util
import io
import json
import tarfile
from types import ModuleType
from typing import Any

import pytest

from tests.unit.deploy.shell import ROOT

LAYERS = {f"sha256:{hashlib.sha256(content).hexdigest()}": content for content in (b"base" * 1000, b"sources")}
BASE, SOURCES = LAYERS
REFERENCE = "localhost/trainingjob/trainer:dev-1"


def load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("thin_archive", ROOT / "deploy/local/thin_archive.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def docker_archive(diff_ids: list[str]) -> io.BytesIO:
    """Return an archive as `buildah push docker-archive:` writes it."""
    config = json.dumps({"architecture": "amd64", "rootfs": {"type": "layers", "diff_ids": diff_ids}}).encode()
    name = f"{hashlib.sha256(config).hexdigest()}.json"
    files = {f"{digest.removeprefix('sha256:')}.tar": content for digest, content in LAYERS.items()}
    files[name] = config
    files["manifest.json"] = json.dumps([{"Config": name, "RepoTags": [REFERENCE], "Layers": []}]).encode()
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for path, content in files.items():
            info = tarfile.TarInfo(path)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
        link = tarfile.TarInfo("0123/layer.tar")
        link.type, link.linkname = tarfile.SYMTYPE, "../layer.tar"
        tar.addfile(link)
    out.seek(0)
    return out


def convert(present: set[str]) -> dict[str, bytes]:
    out = io.BytesIO()
    load().convert(docker_archive([BASE, SOURCES]), REFERENCE, present, out)
    out.seek(0)
    with tarfile.open(fileobj=out) as tar:
        return {m.name: content.read() for m in tar if (content := tar.extractfile(m))}


def blob(files: dict[str, bytes], digest: str) -> Any:
    content = files[f"blobs/sha256/{digest.removeprefix('sha256:')}"]
    assert f"sha256:{hashlib.sha256(content).hexdigest()}" == digest
    return json.loads(content)


def test_every_layer_for_a_containerd_that_has_none() -> None:
    files = convert(set())
    index = json.loads(files["index.json"])["manifests"][0]
    assert index["annotations"] == {"io.containerd.image.name": REFERENCE}
    manifest = blob(files, index["digest"])
    assert [(layer["digest"], layer["size"]) for layer in manifest["layers"]] == [(BASE, 4000), (SOURCES, 7)]
    assert blob(files, manifest["config"]["digest"])["rootfs"]["diff_ids"] == [BASE, SOURCES]
    assert files[f"blobs/sha256/{SOURCES.removeprefix('sha256:')}"] == b"sources"


def test_only_what_is_missing_but_the_whole_manifest() -> None:
    files = convert({BASE})
    assert f"blobs/sha256/{BASE.removeprefix('sha256:')}" not in files
    assert f"blobs/sha256/{SOURCES.removeprefix('sha256:')}" in files
    manifest = blob(files, json.loads(files["index.json"])["manifests"][0]["digest"])
    assert [layer["digest"] for layer in manifest["layers"]] == [BASE, SOURCES]


def test_an_archive_with_other_names_is_refused() -> None:
    with pytest.raises(ValueError, match="has no layer called sha256:absent"):
        load().convert(docker_archive(["sha256:absent"]), REFERENCE, set(), io.BytesIO())
