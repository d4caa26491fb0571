"""Mount paths become folders, and nothing else becomes anything."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainingjob_local.mounts import Mount, Mounts, Places, make, mounts_of, parse_volumes

DATA, MEMBER = Path("/home/me/trainingjob-data"), Path("/run/x/members/toy-chief-0")


def places(given: Mapping[str, Path] | None = None, files: tuple[str, ...] = ()) -> Places:
    def write(kind: str, name: str, items: Mapping[str, str] | None) -> Path | None:
        return Path("/written", kind, name, *(items or {}).values()) if name in files else None

    return Places(given or {}, DATA, MEMBER, write)


def mounted(source: dict[str, Any], **mount: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """A pod with one volume, and its container."""
    return {"spec": {"volumes": [{"name": "v", **source}]}}, {
        "volumeMounts": [{"name": "v", "mountPath": "/data", **mount}]
    }


@pytest.mark.parametrize(
    ("source", "mount", "folder", "kept"),
    [
        ({"persistentVolumeClaim": {"claimName": "images"}}, {}, DATA / "images", True),
        ({"persistentVolumeClaim": {"claimName": "images"}}, {"subPath": "a/b"}, DATA / "images/a/b", True),
        ({"hostPath": {"path": "/mnt/disk"}}, {}, Path("/mnt/disk"), True),
        ({"emptyDir": {"medium": "Memory"}}, {}, MEMBER / "volumes/v", False),
        ({"configMap": {"name": "there"}}, {}, Path("/written/ConfigMap/there"), False),
        ({"secret": {"secretName": "there", "items": [{"key": "k", "path": "p"}]}}, {}, Path("/written/Secret/there/p"), False),
    ],
)  # fmt: skip
def test_each_kind_of_volume_is_a_folder(
    source: dict[str, Any], mount: dict[str, Any], folder: Path, kept: bool
) -> None:
    mounts, problems = mounts_of(*mounted(source, **mount), places(files=("there",)))
    assert (mounts.mounts, problems) == ((Mount("/data", folder, kept),), [])


@pytest.mark.parametrize(
    ("source", "what"),
    [
        ({"configMap": {"name": "c"}}, "ConfigMap c"),
        ({"secret": {"secretName": "s"}}, "Secret s"),
        ({"nfs": {"server": "a", "path": "/b"}}, "an NFS server"),
        ({"csi": {"driver": "d"}}, "a CSI volume"),
        ({"ephemeral": {}}, "an ephemeral claim"),
        ({"glusterfs": {}}, "a volume of a kind unknown here"),
    ],
)
def test_what_is_elsewhere_needs_a_folder(source: dict[str, Any], what: str) -> None:
    mounts, [problem] = mounts_of(*mounted(source), places())
    assert not mounts.mounts
    assert problem.startswith(f"/data: {what} is not on this machine: give a folder for it: --volume /data=FOLDER")
    mounts, problems = mounts_of(*mounted(source), places({"/data": Path("/mine")}))
    assert (mounts.path("/data/x"), problems) == ("/mine/x", [])


def test_an_optional_config_map_may_be_missing() -> None:
    mounts, problems = mounts_of(*mounted({"configMap": {"name": "c", "optional": True}}), places())
    assert (mounts.mounts, problems) == ((), [])


def test_the_machines_own_folders_stay() -> None:
    pod, container = mounted({"emptyDir": {}})
    container["volumeMounts"][0]["mountPath"] = "/tmp"
    assert mounts_of(pod, container, places())[0].mounts == ()


def test_the_inner_mount_wins() -> None:
    mounts = Mounts.of([Mount("/data", Path("/a"), True), Mount("/data/raw", Path("/b"), True)])
    assert mounts.path("/data/raw/x") == "/b/x"
    assert mounts.path("/data/rawer") == "/a/rawer"


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("/data", "/a"), ("/data/x y", "/a/x y"), ("/database", "/database"), ("x/data", "x/data"), ("", ""),
        ("--data=/data/x", "--data=/a/x"), ("--data=/other", "--data=/other"), ("a=/data", "a=/data"), ("-x=", "-x="),
    ],
)  # fmt: skip
def test_arguments_are_paths_or_options_with_one(text: str, wanted: str) -> None:
    assert Mounts.of([Mount("/data", Path("/a"), True)]).argument(text) == wanted


def test_variables_may_be_lists_of_paths() -> None:
    mounts = Mounts.of([Mount("/data", Path("/a"), True)])
    assert mounts.variable("/data/lib:/usr/lib:/data") == "/a/lib:/usr/lib:/a"
    assert mounts.variable("gs://data/x") == "gs://data/x"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.sampled_from(["/data/x", "/data", "/database"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(json_values)
def test_a_document_changes_in_its_paths_alone(value: Any) -> None:
    mounts = Mounts.of([Mount("/data", Path("/a"), True)])
    changed = mounts.document(value)

    def compare(before: Any, after: Any) -> None:
        assert type(before) is type(after)
        if isinstance(before, dict):
            assert list(before) == list(after), "names of fields stay"
            for key in before:
                compare(before[key], after[key])
        elif isinstance(before, list):
            assert len(before) == len(after)
            for one, other in zip(before, after, strict=True):
                compare(one, other)
        elif isinstance(before, str) and (before == "/data" or before.startswith("/data/")):
            assert after == "/a" + before.removeprefix("/data")
        else:
            assert before == after

    compare(value, changed)


def test_folders_are_made_and_files_are_left(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    make(Mounts.of([Mount("/a", tmp_path / "new/deep", True), Mount("/b", tmp_path / "file", True)]))
    assert (tmp_path / "new/deep").is_dir()
    assert (tmp_path / "file").read_text() == "x"


def test_volumes_of_the_command_line() -> None:
    assert parse_volumes(["/data/=my", "/x=/abs=olute"], Path("/home")) == {
        "/data": Path("/home/my"),
        "/x": Path("/abs=olute"),
    }
    for text in ("data=x", "/data", "/data=", "/=x", "=x"):
        with pytest.raises(ValueError, match="--volume"):
            parse_volumes([text], Path("/home"))
