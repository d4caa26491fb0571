"""Fixtures: one API server with our CRD for the whole run, one namespace for each test."""

import itertools
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.apiserver.api import JOBS, Api, Json
from tests.apiserver.replica import Cluster, Replica, Shared, prepare
from tests.apiserver.server import ApiServer, build_tools, missing_tools, running
from trainingjob_operator.api.crd import CRD_NAME, custom_resource_definition

CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
_HERE = Path(__file__).parent
_numbers = itertools.count(1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Limit the tests' own time: building the programs on a fresh machine takes minutes, and is in a fixture."""
    for item in items:
        if item.path.parent == _HERE:
            item.add_marker(pytest.mark.timeout(60, func_only=True))


@pytest.fixture(scope="session")
def bare_server(pytestconfig: pytest.Config) -> Iterator[ApiServer]:
    """An API server that knows nothing of ours."""
    if missing_tools():
        capture = pytestconfig.pluginmanager.getplugin("capturemanager")
        with capture.global_and_fixture_disabled():
            build_tools()
    with running() as server:
        yield server


@pytest.fixture(scope="session")
def server(bare_server: ApiServer) -> ApiServer:
    """An API server that serves TrainingJobs."""
    bare_server.api.create(CRDS, custom_resource_definition())
    until(lambda: "True" in conditions(bare_server.api).get("Established", ""), "the CRD is Established")
    until(lambda: _served(bare_server.api), "the API serves TrainingJobs")
    return bare_server


@pytest.fixture(scope="session")
def api(server: ApiServer) -> Api:
    """The administrator's client."""
    return server.api


@pytest.fixture
def namespace(api: Api) -> str:
    """A new namespace with its service account, which no controller makes here."""
    name = f"test-{next(_numbers)}"
    api.create("/api/v1/namespaces", {"metadata": {"name": name}})
    api.create(f"/api/v1/namespaces/{name}/serviceaccounts", {"metadata": {"name": "default"}})
    return name


@pytest.fixture
def jobs(namespace: str) -> str:
    """Path of the new namespace's TrainingJobs."""
    return JOBS.format(namespace)


@pytest.fixture
def cluster(server: ApiServer, namespace: str) -> Cluster:
    """The new namespace as a test of the operator sees it."""
    prepare(server.api)
    return Cluster(server.api, namespace)


@pytest.fixture(scope="module")
def shared(server: ApiServer, request: pytest.FixtureRequest) -> Iterator[Shared]:
    """What the two fixtures below use."""
    prepare(server.api)
    shared = Shared(server, str(request.module.__name__).rpartition(".")[2])
    yield shared
    shared.stop()


@pytest.fixture
def operator(shared: Shared) -> Replica:
    """The one replica that the tests of a module share, those that do not end it."""
    return shared.start()


@pytest.fixture
def no_operator(shared: Shared) -> None:
    """No replica but those that the test starts: the shared one would lead, and do what it says of its own."""
    shared.stop()


def conditions(api: Api) -> dict[str, str]:
    """Return the CRD's conditions: type to `status: message`."""
    status: Json = api.get(f"{CRDS}/{CRD_NAME}").get("status") or {}
    return {c["type"]: f"{c['status']}: {c.get('message', '')}" for c in status.get("conditions") or ()}


def until(holds: Callable[[], bool], what: str, seconds: float = 20) -> None:
    """Poll until something holds; the API server tells nobody when its caches are ready."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"{what}: not within {seconds} s"
        time.sleep(0.05)


def _served(api: Api) -> bool:
    try:
        api.get(JOBS.format("default"))
        return "TrainingJob" in api.text("/openapi/v3/apis/trainingjob.dev/v1alpha1")
    except Exception as error:
        if getattr(error, "status", 0) in (404, 503):
            return False
        raise
