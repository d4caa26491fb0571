"""Fixtures: the installed operator, and a namespace of its own for each test."""

from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from tests.e2e.dump import describe
from tests.e2e.installation import NAMESPACE, RELEASE, Installation
from tests.e2e.kube import Kube, WrongClusterError, find_cluster
from tests.e2e.notes import NOTES
from tests.e2e.world import World

HERE = Path(__file__).parent
#: Whatever a test waits for has its own limit; this is for what hangs in spite of that.
TEST_SECONDS = 300
#: Leaves the cluster for a moment without an operator: after all others.
LAST = "test_uninstall.py"

_worlds: list[World] = []


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Set the time limit, and put the uninstallation last."""
    for item in items:
        if item.path.parent == HERE and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(TEST_SECONDS, func_only=True))
    items.sort(key=lambda item: item.path.name == LAST and item.path.parent == HERE)


def pytest_configure(config: pytest.Config) -> None:
    """Show what takes long, unless the command line says otherwise."""
    if config.option.durations is None:
        config.option.durations = 15


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what the tests measured."""
    if NOTES:
        terminalreporter.section("measured")
        for line in NOTES:
            terminalreporter.write_line(line)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add what the cluster looks like to the report of a failed test, before its namespace goes."""
    report = yield
    if report.failed and call.when in ("setup", "call"):
        for world in _worlds:
            for title, text in describe(world.kube, world.namespace):
                report.sections.append((title, text))
    return report


@pytest.fixture(scope="session")
def kube() -> Kube:
    """The cluster; the run ends here when it is not one of ours."""
    try:
        return find_cluster()
    except WrongClusterError as error:
        pytest.exit(str(error), returncode=2)


@pytest.fixture(scope="session")
def operator(kube: Kube) -> Iterator[Installation]:
    """The installed operator, ready. `make test-e2e` installs it; this only looks."""
    if kube.find("-n", NAMESPACE, "deployment", RELEASE) is None:
        pytest.exit(
            "the operator is not installed: run `make test-e2e`, or `make cluster images install`", returncode=2
        )
    installation = Installation(kube)
    installation.wait_ready()
    yield installation
    kube.kubectl("wait", "--for=delete", "namespace", "-l", "e2e", "--timeout=120s", timeout=150)


@pytest.fixture
def world(operator: Installation, request: pytest.FixtureRequest) -> Iterator[World]:
    """A new namespace for one test."""
    yield from _make(operator.kube, request.node.originalname)


@pytest.fixture(scope="module")
def shared_world(operator: Installation, request: pytest.FixtureRequest) -> Iterator[World]:
    """A new namespace for all tests of one file that leave nothing running."""
    yield from _make(operator.kube, Path(request.node.path).stem)


@pytest.fixture
def restricted_world(operator: Installation, request: pytest.FixtureRequest) -> Iterator[World]:
    """A new namespace that takes only pods of the restricted Pod Security Standard."""
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    yield from _make(operator.kube, request.node.originalname, labels)


def _make(kube: Kube, name: str, labels: dict[str, str] | None = None) -> Iterator[World]:
    hint = name.removeprefix("test_").replace("_", "-").lower()
    world = World.make(kube, hint, labels)
    _worlds.append(world)
    try:
        yield world
    finally:
        _worlds.remove(world)
        world.remove()
