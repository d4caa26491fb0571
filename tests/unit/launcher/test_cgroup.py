"""Where our control group is, and what it grants.

`captured/v1-pod` is what a pod on a hybrid machine saw, `captured/v1-machine` the same machine outside of any pod;
`captured/v2-pod` has the same files in the format of a kernel with version 2 only.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainingjob_launcher.cgroup import V2, number, own_groups, read_groups, read_mounts
from trainingjob_launcher.threads import cpu_limit

CAPTURED = Path(__file__).parent / "captured"
V1_POD, V1_MACHINE, V2_POD = (CAPTURED / name for name in ("v1-pod", "v1-machine", "v2-pod"))


def a_copy(of: Path, folder: Path) -> Path:
    return Path(shutil.copytree(of, folder / of.name))


def a_root(folder: Path, cgroup: str, *mounts: str) -> Path:
    (folder / "proc/self").mkdir(parents=True)
    (folder / "proc/self/cgroup").write_text(cgroup)
    lines = [f"{30 + n} 29 0:{n} {mount}\n" for n, mount in enumerate(mounts)]
    (folder / "proc/self/mountinfo").write_text("".join(lines))
    return folder


# --- Where it is ---


def test_in_a_pod_of_version_2_the_mount_is_the_pods_own_group() -> None:
    assert own_groups(V2_POD) == {V2: (V2_POD / "sys/fs/cgroup",)}


def test_in_a_pod_of_version_1_the_path_is_the_hosts_and_the_mount_begins_there() -> None:
    groups = own_groups(V1_POD)
    assert groups["memory"] == (V1_POD / "sys/fs/cgroup/memory",)
    assert groups["cpuacct"] == (V1_POD / "sys/fs/cgroup/cpuacct",)
    assert V2 not in groups  # the hybrid's empty version 2 is not mounted into pods


def test_outside_of_a_pod_the_path_is_below_the_mount() -> None:
    mount = V1_MACHINE / "sys/fs/cgroup"
    groups = own_groups(V1_MACHINE)
    assert groups["memory"] == (mount / "memory/session/1", mount / "memory/session", mount / "memory")
    assert groups["cpu"] == (mount / "cpu",)
    assert groups[V2] == (mount / "unified",)


def test_controllers_that_share_a_hierarchy_and_names_with_blanks(tmp_path: Path) -> None:
    mount = r"/docker /mnt/my\040cgroups ro - cgroup cgroup rw,cpu,cpuacct"
    root = a_root(tmp_path, "4:cpu,cpuacct:/docker/x\n", mount.replace(" ro ", " ro master:3 "))
    folders = (tmp_path / "mnt/my cgroups/x", tmp_path / "mnt/my cgroups")
    assert own_groups(root) == {"cpu": folders, "cpuacct": folders}


def test_of_several_mounts_the_one_nearest_to_us_counts(tmp_path: Path) -> None:
    whole = "/ /host rw - cgroup2 cgroup2 rw"
    other = "/pods/b /other rw - cgroup2 cgroup2 rw"
    own = "/pods/a /own rw - cgroup2 cgroup2 rw"
    root = a_root(tmp_path, "0::/pods/a/x\n", whole, own, other)
    assert own_groups(root)[V2] == (tmp_path / "own/x", tmp_path / "own")


def test_a_name_that_only_begins_alike_is_another_group(tmp_path: Path) -> None:
    root = a_root(tmp_path, "0::/pods/ab\n", "/pods/a /own rw - cgroup2 cgroup2 rw")
    assert own_groups(root)[V2] == (tmp_path / "own",)


def test_a_path_that_leaves_our_namespace_is_the_top_of_what_we_see(tmp_path: Path) -> None:
    root = a_root(tmp_path, "0::/../..\n", "/ /sys/fs/cgroup rw - cgroup2 cgroup2 rw")
    assert own_groups(root)[V2] == (tmp_path / "sys/fs/cgroup",)


def test_without_control_groups_there_are_none(tmp_path: Path) -> None:
    assert own_groups(tmp_path) == {}
    assert own_groups(a_root(tmp_path, "4:memory:/x\n", "/ / rw - ext4 /dev/vda rw")) == {}


lines = st.lists(
    st.text("0:/ -,cgroup2mexy.\\41", max_size=40)
    | st.sampled_from(["0::/a", "4:cpu:/", "1 2 3 / /x r - cgroup c cpu"])
).map("\n".join)


@given(lines, lines)
def test_whatever_proc_says_nothing_breaks(cgroup: str, mountinfo: str) -> None:
    assert all(path.startswith("/") for path in read_groups(cgroup).values())
    for found in read_mounts(mountinfo).values():
        assert found


@given(st.text(max_size=25) | st.integers().map(str))
def test_a_number_is_a_count_or_none(text: str) -> None:
    found = number(text)
    assert found is None or (found >= 0 and text.lstrip("0") in (str(found), ""))


@pytest.mark.parametrize("text", ["max", "-1", "", " 1", "1.5", "\u0663", "9" * 21, "\u00b2"])
def test_what_is_no_count_is_none(text: str) -> None:
    assert number(text) is None


# --- What it grants ---


def test_the_quota_of_a_pod() -> None:
    assert cpu_limit(V2_POD) == pytest.approx(1.5)
    assert cpu_limit(V1_POD) is None  # captured without a limit: -1
    assert cpu_limit(V1_MACHINE) is None


def test_version_1_with_a_quota(tmp_path: Path) -> None:
    root = a_copy(V1_POD, tmp_path)
    (root / "sys/fs/cgroup/cpu/cpu.cfs_quota_us").write_text("250000\n")
    assert cpu_limit(root) == pytest.approx(2.5)


def test_the_lowest_quota_on_the_way_to_the_root_counts(tmp_path: Path) -> None:
    root = a_root(tmp_path, "0::/kubepods/pod1/c1\n", "/ /sys/fs/cgroup rw - cgroup2 cgroup2 rw")
    inner = tmp_path / "sys/fs/cgroup/kubepods/pod1/c1"
    inner.mkdir(parents=True)
    (inner / "cpu.max").write_text("max 100000\n")
    (inner.parent / "cpu.max").write_text("150000 100000\n")
    (inner.parent.parent / "cpu.max").write_text("800000 100000\n")
    assert cpu_limit(root) == pytest.approx(1.5)


@pytest.mark.parametrize("content", ["max 100000", "", "-1 100000", "x y", "100000 0", "0 100000"])
def test_no_quota_is_no_limit(tmp_path: Path, content: str) -> None:
    root = a_copy(V2_POD, tmp_path)
    (root / "sys/fs/cgroup/cpu.max").write_text(content)
    assert cpu_limit(root) is None
