"""The chart on a real API server: its objects are taken, and the operator may do what it does and nothing else."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import yaml

from tests.apiserver.api import JOBS, Api, Json, RefusedError
from tests.apiserver.server import ApiServer
from tests.apiserver.test_specs import job
from tests.chart import helm
from tests.chart.test_rbac import ISSUER, OWN, Rule
from tests.chart.test_rbac import JOBS as JOB_RULES
from trainingjob_operator.api import names
from trainingjob_operator.kube.client import KubeClient
from trainingjob_operator.kube.config import ClusterAddress, Credentials
from trainingjob_operator.kube.errors import ApiError
from trainingjob_operator.kube.resources import (
    ENDPOINT_SLICES,
    EVENTS,
    LEASES,
    PODS,
    SECRETS,
    SERVICES,
    TRAININGJOBS,
    Resource,
)

ACCOUNT = f"system:serviceaccount:{helm.NAMESPACE}:{helm.RELEASE}"
CONFIG_MAPS = Resource("", "v1", "configmaps", "ConfigMap")
NODES = Resource("", "v1", "nodes", "Node", namespaced=False)
NAMESPACES = Resource("", "v1", "namespaces", "Namespace", namespaced=False)


@pytest.fixture(scope="module")
def chart(server: ApiServer) -> Iterator[None]:
    """The chart with its defaults, but for the CRD, which the server has; the namespace takes restricted pods only."""
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    server.api.create("/api/v1/namespaces", {"metadata": {"name": helm.NAMESPACE, "labels": labels}})
    manifests = helm.render({"crds": {"install": False}})
    text = yaml.safe_dump_all(manifests)
    server.kubectl("apply", "--server-side", "--validate=strict", "-f", "-", stdin=text)
    yield
    server.kubectl("delete", "--wait=false", "-f", "-", stdin=text)


@pytest.fixture(scope="module")
def token(server: ApiServer, chart: None) -> str:
    """A token as the operator's pod gets it."""
    path = f"/api/v1/namespaces/{helm.NAMESPACE}/serviceaccounts/{helm.RELEASE}/token"
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 600}}
    return str(server.api.create(path, body)["status"]["token"])


@pytest.fixture
async def operator(server: ApiServer, token: str) -> AsyncIterator[KubeClient]:
    """The operator's client with the operator's rights."""
    async with KubeClient(ClusterAddress(server.url, server.ca), Credentials(token=token)) as client:
        yield client


def rules_of(server: ApiServer, token: str, namespace: str) -> set[Rule]:
    """Return what the operator may do in a namespace and not everybody may, as the API server sees it.

    Kubernetes itself lets every service account read the issuer's keys; the chart says it again for clusters that
    took that away.
    """
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectRulesReview",
        "spec": {"namespace": namespace},
    }
    path = "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews"

    def flat(bearer: str) -> set[Rule]:
        status = Api(server.url, server.ca, bearer).create(path, review)["status"]
        assert not status["incomplete"]
        return {
            (group, resource, tuple(rule.get("resourceNames") or ()), frozenset(rule["verbs"]))
            for rule in [*status["resourceRules"], *status["nonResourceRules"]]
            for group in rule.get("apiGroups") or [""]
            for resource in [*rule.get("resources", ()), *rule.get("nonResourceURLs", ())]
        }

    plain = f"/api/v1/namespaces/{helm.NAMESPACE}/serviceaccounts/default"
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 600}}
    try:
        server.api.get(plain)
    except RefusedError:
        server.api.create(plain.rpartition("/")[0], {"metadata": {"name": "default"}})
    nobody = str(server.api.create(f"{plain}/token", body)["status"]["token"])
    return flat(token) - flat(nobody)


def test_elsewhere_it_has_the_rights_on_jobs_and_no_more(server: ApiServer, token: str, namespace: str) -> None:
    assert rules_of(server, token, namespace) == JOB_RULES


def test_at_home_it_has_its_own_objects_besides(server: ApiServer, token: str) -> None:
    assert rules_of(server, token, helm.NAMESPACE) == JOB_RULES | OWN


async def test_it_reads_the_keys_of_the_issuer(operator: KubeClient) -> None:
    for _, path, _, _ in ISSUER:
        assert await operator.raw(path)


async def test_it_does_what_a_job_needs(operator: KubeClient, api: Api, namespace: str, jobs: str) -> None:
    uid = api.create(jobs, job({"program": {}}, "mnist"))["metadata"]["uid"]
    assert (await operator.list(TRAININGJOBS)).items
    assert (await operator.get(TRAININGJOBS, "mnist", namespace))["metadata"]["uid"] == uid
    for manager in (names.FIELD_MANAGER, names.INTAKE_FIELD_MANAGER):
        seen = await operator.get(TRAININGJOBS, "mnist", namespace)
        body = {"metadata": seen["metadata"], "status": {"display": {"members": "0/1"}}}
        await operator.replace_status(TRAININGJOBS, "mnist", body, namespace, field_manager=manager)
    owner = {"apiVersion": names.API_VERSION, "kind": names.KIND, "name": "mnist", "uid": uid, "controller": True}
    metadata: Json = {"name": "mnist-chief", "ownerReferences": [owner]}
    service = {"metadata": metadata, "spec": {"clusterIP": "None", "ipFamilyPolicy": "PreferDualStack"}}
    address = {"metadata": metadata, "addressType": "IPv4", "endpoints": [{"addresses": ["10.0.0.7"]}]}
    for resource, body in ((SERVICES, service), (ENDPOINT_SLICES, address)):
        await operator.create(resource, body, namespace)
        await operator.get(resource, "mnist-chief", namespace)
    await operator.merge_patch(ENDPOINT_SLICES, "mnist-chief", {"endpoints": []}, namespace)
    await operator.merge_patch(SERVICES, "mnist-chief", {"spec": {"selector": {"a": "b"}}}, namespace)
    pod = {"metadata": {**metadata, "name": "mnist-chief-0"}, "spec": {"containers": [{"name": "a", "image": "b"}]}}
    await operator.create(PODS, pod, namespace)
    assert (await operator.list(PODS, namespace)).items
    assert await operator.delete(PODS, "mnist-chief-0", namespace)
    await operator.create(CONFIG_MAPS, {"metadata": {"name": "trainingjob-launcher-1"}, "immutable": True}, namespace)
    event = {
        "metadata": {"name": "mnist.1"}, "lastTimestamp": "2026-01-01T00:00:00Z", "type": "Normal", "reason": "Running",
        "source": {"component": names.MANAGER},
        "involvedObject": {"kind": names.KIND, "name": "mnist", "namespace": namespace, "apiVersion": names.API_VERSION},
    }  # fmt: skip
    await operator.create(EVENTS, event, namespace)
    assert await operator.delete(TRAININGJOBS, "mnist", namespace, uid=uid)


async def test_it_fills_its_secret_and_takes_its_lease(operator: KubeClient) -> None:
    for resource, name in ((SECRETS, f"{helm.RELEASE}-intake"), (LEASES, helm.RELEASE)):
        found = await operator.get(resource, name, helm.NAMESPACE)
        more: Json = {"data": {"key": "a2V5"}} if resource is SECRETS else {"spec": {"holderIdentity": "me"}}
        await operator.replace(resource, name, {**found, **more}, helm.NAMESPACE)


@pytest.mark.parametrize(
    ("verb", "resource", "name"),
    [
        ("list", SECRETS, ""), ("get", SECRETS, "other"), ("create", SECRETS, "new"), ("delete", SECRETS, "own"),
        ("get", CONFIG_MAPS, "other"), ("list", CONFIG_MAPS, ""), ("apply", CONFIG_MAPS, "other"),
        ("delete", CONFIG_MAPS, "trainingjob-launcher-1"), ("list", NODES, ""), ("list", NAMESPACES, ""),
        ("create", LEASES, "new"), ("get", LEASES, "other"),
        ("apply", TRAININGJOBS, "mnist"), ("create", TRAININGJOBS, "new"), ("apply", PODS, "mnist-chief-0"),
        ("delete", SERVICES, "mnist-chief"), ("list", SERVICES, ""),
        ("delete", ENDPOINT_SLICES, "mnist-chief"), ("list", ENDPOINT_SLICES, ""), ("list", EVENTS, ""),
    ],
    ids=lambda value: getattr(value, "plural", value),
)  # fmt: skip
async def test_it_is_refused_the_rest(operator: KubeClient, verb: str, resource: Resource, name: str) -> None:
    namespace = helm.NAMESPACE if resource.namespaced else None
    calls: dict[str, Any] = {
        "list": lambda: operator.list(resource, namespace),
        "get": lambda: operator.get(resource, name, namespace),
        "create": lambda: operator.create(resource, {"metadata": {"name": name}}, namespace),
        "delete": lambda: operator.delete(resource, name, namespace),
        "apply": lambda: operator.apply(resource, name, {}, namespace, field_manager="test"),
    }
    with pytest.raises(ApiError) as refusal:
        await calls[verb]()
    assert refusal.value.status == 403


def test_its_own_pods_pass_the_restricted_standard(server: ApiServer, chart: None) -> None:
    template = helm.pick(helm.render(), "Deployment")["spec"]["template"]
    body = {"metadata": {"name": "operator", "labels": template["metadata"]["labels"]}, "spec": template["spec"]}
    server.api.create(f"/api/v1/namespaces/{helm.NAMESPACE}/pods", body, dryRun="All")


@pytest.mark.parametrize(
    ("role", "may", "may_not"),
    [
        ("view", ["get", "list", "watch"], ["create", "patch", "delete"]),
        ("edit", ["get", "list", "watch", "create", "update", "patch", "delete", "deletecollection"], []),
    ],
)
def test_people_get_trainingjobs_with_the_roles_of_kubernetes(
    server: ApiServer, chart: None, role: str, may: list[str], may_not: list[str]
) -> None:
    """Nobody but the operator writes a status. The roles are aggregated by a controller that does not run here."""
    user, binding = f"{role}er", {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding"}
    names_ = [
        f"{helm.RELEASE}-{helm.NAMESPACE}-{part}" for part in (["view"] if role == "view" else ["view", "edit"])
    ]
    for name in names_:
        body = {
            **binding,
            "metadata": {"name": f"{user}-{name}"},
            "subjects": [{"kind": "User", "name": user, "apiGroup": "rbac.authorization.k8s.io"}],
            "roleRef": {"kind": "ClusterRole", "name": name, "apiGroup": "rbac.authorization.k8s.io"},
        }
        server.api.create("/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", body)

    def allowed(verb: str, subresource: str = "") -> bool:
        attributes = {
            "group": names.GROUP,
            "resource": names.PLURAL,
            "subresource": subresource,
            "verb": verb,
            "namespace": "a",
        }
        review = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SubjectAccessReview",
            "spec": {"user": user, "resourceAttributes": attributes},
        }
        answer = server.api.create("/apis/authorization.k8s.io/v1/subjectaccessreviews", review)
        return bool(answer["status"]["allowed"])

    assert [verb for verb in may if not allowed(verb)] == []
    assert [verb for verb in may_not if allowed(verb)] == []
    assert [verb for verb in ("update", "patch") if allowed(verb, "status")] == []


def test_a_team_without_rights_sees_no_jobs(api: Api, chart: None) -> None:
    with pytest.raises(RefusedError, match="403"):
        api.acting_for("system:serviceaccount:team:default").get(JOBS.format("default"))
