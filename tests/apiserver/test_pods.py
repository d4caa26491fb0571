"""The pods and Services that specs become, as an API server judges them: strictly, and by the restricted standard."""

import copy
from dataclasses import replace
from typing import Any

import pytest

from tests.apiserver.api import Api, Json, RefusedError
from tests.unit.operator.api.specs import EVERYTHING, GOOD, Spec, with_program
from tests.unit.operator.core.builders import UID, platform, profile
from trainingjob_operator.api.validation import parse_spec
from trainingjob_operator.core.address import build_address
from trainingjob_operator.core.desired import build_pod, build_service, members
from trainingjob_operator.core.observe import observe_job, observe_pod
from trainingjob_operator.core.validation import judge

PLATFORM = platform(node_pools={"a100": profile(accelerator={"count": 8})})
PROFILE_RESOURCE = {"nvidia.com/gpu": "8"}


def without(spec: Spec, *names: str) -> Spec:
    """Return a spec without these fields."""
    return {name: copy.deepcopy(value) for name, value in spec.items() if name not in names}


#: What the restricted Pod Security Standard allows anybody: no hostPath, no nfs or inline CSI, no added capabilities.
RESTRICTED = {
    "least": with_program(),
    "gang": with_program(workers={"replicas": 2}),
    "accelerators": with_program(nodePool={"accelerator": {"count": 1}}),
    "source": {"program": {"source": {"configMap": {"name": "code"}}}},
    "much": {
        **without(EVERYTHING, "podTemplate", "volumes"),
        "volumes": [v for v in EVERYTHING["volumes"] if not {"hostPath", "nfs", "csi"} & v.keys()],
    },
}
#: Those of the good specs that Python lets become pods.
MAKES_PODS = {
    good.id: good.spec
    for good in GOOD
    if (parsed := parse_spec(good.spec)[0]) is not None and not judge(parsed, PLATFORM)
}


def children(spec: Spec) -> list[Json]:
    """Return the chief's pod, the last worker's, a second incarnation, the Services of a job of this spec, and its slice."""
    job = observe_job({"metadata": {"name": "mnist", "namespace": "ml", "uid": UID, "generation": 1}, "spec": spec})
    assert job.spec is not None
    role, index = list(members(job.spec))[-1]
    pods = [build_pod(job, *member, PLATFORM) for member in (("chief", 0, 1), (role, index, 1), (role, index, 2))]
    chief = replace(observe_pod(pods[0]), ip="10.0.0.7")
    return [*pods, build_service(job), build_service(job, selects=2), build_address(job, chief)]


def namespace_of(api: Api, standard: str) -> str:
    """Return a namespace that enforces a Pod Security Standard."""
    name = f"pods-{standard}"
    labels = {f"pod-security.kubernetes.io/{mode}": standard for mode in ("enforce", "warn")}
    try:
        api.create("/api/v1/namespaces", {"metadata": {"name": name, "labels": labels}})
        api.create(f"/api/v1/namespaces/{name}/serviceaccounts", {"metadata": {"name": "default"}})
        api.create("/apis/scheduling.k8s.io/v1/priorityclasses", {"metadata": {"name": "batch"}, "value": 1})
        api.create("/apis/node.k8s.io/v1/runtimeclasses", {"metadata": {"name": "nvidia"}, "handler": "nvidia"})
    except RefusedError as error:
        if error.status != 409:
            raise
    return name


def submit(api: Api, namespace: str, child: Json) -> None:
    """Have the API server judge an object, without storing it."""
    metadata: dict[str, Any] = {**child["metadata"], "namespace": namespace}
    root = {"v1": "/api/v1"}.get(child["apiVersion"], f"/apis/{child['apiVersion']}")
    api.create(
        f"{root}/namespaces/{namespace}/{child['kind'].lower()}s", {**child, "metadata": metadata}, dryRun="All"
    )


def test_a_service_may_begin_to_select(api: Api, namespace: str) -> None:
    job = observe_job({"metadata": {"name": "mnist", "namespace": namespace, "uid": UID}, "spec": with_program()})
    path = f"/api/v1/namespaces/{namespace}/services"
    api.create(path, build_service(job))
    wanted = build_service(job, selects=1)["spec"]
    now = api.merge(
        f"{path}/mnist-chief", {"spec": {"selector": wanted["selector"], "publishNotReadyAddresses": True}}
    )
    del wanted["ports"]  # to which defaults are added
    assert {name: now["spec"][name] for name in wanted} == wanted


def test_most_good_specs_become_pods() -> None:
    assert {"everything", "least", "accelerator-default", "quantity-forms"} <= MAKES_PODS.keys() | {"least"}
    assert len(MAKES_PODS) >= 8


@pytest.mark.parametrize("spec", MAKES_PODS.values(), ids=MAKES_PODS)
def test_what_validation_lets_through_an_api_server_takes(api: Api, spec: Spec) -> None:
    namespace = namespace_of(api, "privileged")
    for child in children(spec):
        submit(api, namespace, child)


@pytest.mark.parametrize("spec", RESTRICTED.values(), ids=RESTRICTED)
def test_job_pods_pass_the_restricted_standard(api: Api, spec: Spec) -> None:
    namespace = namespace_of(api, "restricted")
    for child in children(spec):
        submit(api, namespace, child)


def test_the_restricted_standard_is_enforced_here(api: Api) -> None:
    """Otherwise the tests above would show nothing."""
    spec = with_program(volumes=[{"mountPath": "/host", "hostPath": {"path": "/"}}])
    with pytest.raises(RefusedError, match='violates PodSecurity "restricted'):
        submit(api, namespace_of(api, "restricted"), children(spec)[0])
