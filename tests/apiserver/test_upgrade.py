"""A stricter CRD does not lock out the jobs that are already there."""

from typing import Any

import pytest

from tests.apiserver.api import Api, Json, RefusedError
from tests.apiserver.conftest import CRDS, until
from tests.apiserver.server import ApiServer
from trainingjob_operator.api.crd import custom_resource_definition

GROUP = "ratcheting.test"
JOBS = f"/apis/{GROUP}/v1alpha1/namespaces/default/trainingjobs"


def definition(longest_interval: int, rule: str = "") -> Json:
    """Return our CRD under another group, with other limits."""
    crd = custom_resource_definition()
    crd["metadata"]["name"] = f"trainingjobs.{GROUP}"
    crd["spec"]["group"] = GROUP
    crd["spec"]["names"] |= {"shortNames": [], "categories": []}
    spec: Any = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    spec["properties"]["reporting"]["properties"]["intervalSeconds"]["maximum"] = longest_interval
    if rule:
        spec["properties"]["image"]["x-kubernetes-validations"].append({"rule": rule})
    return crd


@pytest.fixture(scope="module")
def old_job(bare_server: ApiServer) -> tuple[Api, str]:
    """A job that an older CRD took and a newer one would not."""
    api, path = bare_server.api, f"{CRDS}/trainingjobs.{GROUP}"
    api.create(CRDS, definition(3600))
    body = {
        "apiVersion": f"{GROUP}/v1alpha1",
        "kind": "TrainingJob",
        "metadata": {"name": "old"},
        "spec": {"program": {}, "image": "old", "reporting": {"intervalSeconds": 3000}},
    }
    until(lambda: _created(api, body), "the old job is stored")
    newer = definition(60, "self != 'old'")
    newer["metadata"]["resourceVersion"] = api.get(path)["metadata"]["resourceVersion"]
    api.request("PUT", path, newer)
    fresh = {**body, "metadata": {"name": "fresh"}}
    until(lambda: not _created(api, fresh, dryRun="All"), "the newer CRD is in force")
    return api, f"{JOBS}/old"


def test_what_was_stored_may_stay(old_job: tuple[Api, str]) -> None:
    api, path = old_job
    api.merge(path, {"metadata": {"labels": {"a": "b"}}})
    api.merge(f"{path}/status", {"status": {"phase": "Running"}})
    assert api.get(path)["spec"]["reporting"]["intervalSeconds"] == 3000


def test_what_changes_obeys_the_newer_rules(old_job: tuple[Api, str]) -> None:
    api, path = old_job
    with pytest.raises(RefusedError) as refusal:
        api.merge(path, {"spec": {"reporting": {"intervalSeconds": 2000}}})
    assert refusal.value.fields == ["spec.reporting.intervalSeconds"]
    api.merge(path, {"spec": {"reporting": {"intervalSeconds": 20}}})


def test_immutable_stays_immutable(old_job: tuple[Api, str]) -> None:
    api, path = old_job
    with pytest.raises(RefusedError) as refusal:
        api.merge(path, {"spec": {"image": "new"}})
    assert refusal.value.fields == ["spec.image"]


def _created(api: Api, body: Json, **parameters: str) -> bool:
    try:
        api.create(JOBS, body, **parameters)
    except RefusedError as error:
        if error.status in (404, 422):
            return False
        raise
    return True
