"""Fixtures: several nodes, the installed operator on the one that is not broken, a namespace and a folder."""

import os
import shutil
import tempfile
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
import yaml

from tests.chaos import table
from tests.chaos.machine import NODES, nodes
from tests.e2e.dump import describe
from tests.e2e.installation import NAMESPACE, RELEASE, Installation
from tests.e2e.kube import JOBS, CommandError, Kube, WrongClusterError, find_cluster
from tests.e2e.world import World

HERE = Path(__file__).parent
#: Whatever a test waits for has its own limit; this is for what hangs in spite of that.
TEST_SECONDS = 240

_worlds: list[World] = []


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Set the time limit."""
    for item in items:
        if item.path.parent == HERE and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(TEST_SECONDS, func_only=True))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the table of faults."""
    if table.ROWS:
        terminalreporter.section("faults")
        for line in table.lines():
            terminalreporter.write_line(line)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add what the cluster looks like to the report of a failed test, before anything of it goes."""
    report = yield
    if report.failed and call.when in ("setup", "call"):
        for world in _worlds:
            report.sections.append((f"{world.namespace}: status", _statuses(world)))
            # not the jobs: their programs are long
            report.sections.extend(describe(world.kube, world.namespace)[1:])
    return report


def _statuses(world: World) -> str:
    try:
        jobs = world.kube.get("-n", world.namespace, JOBS)["items"]
    except CommandError as error:
        return str(error)
    for job in jobs:
        job.get("status", {}).get("training", {}).pop("history", None)
    return yaml.safe_dump({job["metadata"]["name"]: job.get("status") for job in jobs})


@pytest.fixture(scope="session")
def kube() -> Kube:
    """The local cluster; the run ends here when it is another one, whose nodes are not ours to break."""
    try:
        kube = find_cluster()
    except WrongClusterError as error:
        pytest.exit(str(error), returncode=2)
    if kube.backend != "local" or os.geteuid() != 0:
        pytest.exit("these tests break nodes of the local cluster: run `make test-chaos`, as root", returncode=2)
    return kube


@pytest.fixture(scope="session")
def operator(kube: Kube) -> Installation:
    """The installed operator, ready, and the nodes that tests break, whole. `make test-chaos` makes all of it."""
    if kube.find("-n", NAMESPACE, "deployment", RELEASE) is None:
        pytest.exit("the operator is not installed: run `make test-chaos`", returncode=2)
    nodes("add", *NODES)
    installation = Installation(kube)
    installation.wait_ready()
    broken = {pod["spec"]["nodeName"] for pod in installation.pods()} & set(NODES)
    assert not broken, f"the operator runs on {broken}, which are broken here: run `make test-chaos`"
    return installation


@pytest.fixture(scope="session")
def root() -> Iterator[Path]:
    """A folder of the machine, and so of every node."""
    path = Path(tempfile.mkdtemp(prefix="trainingjob-chaos-", dir="/var/tmp"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


@pytest.fixture
def folder(root: Path, request: pytest.FixtureRequest) -> Path:
    """A folder for one test."""
    return root / str(request.node.name)


@pytest.fixture
def world(operator: Installation, request: pytest.FixtureRequest) -> Iterator[World]:
    """A new namespace for one test."""
    yield from make_world(operator.kube, request.node.originalname)


@pytest.fixture(scope="module")
def shared_world(operator: Installation, request: pytest.FixtureRequest) -> Iterator[World]:
    """A new namespace for all tests of one file."""
    yield from make_world(operator.kube, Path(request.node.path).stem)


def make_world(kube: Kube, name: str) -> Iterator[World]:
    """Make a namespace, and remove it in the background."""
    world = World.make(kube, name.removeprefix("test_").replace("_", "-").lower())
    _worlds.append(world)
    try:
        yield world
    finally:
        _worlds.remove(world)
        world.remove()
