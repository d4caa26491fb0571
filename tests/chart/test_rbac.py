"""Rights, verb by verb: a new one needs a change here, and a reason in the template."""

import re
from collections.abc import Iterable

import pytest

from tests.chart import helm

Rule = tuple[str, str, tuple[str, ...], frozenset[str]]


def rule(group: str, resource: str, verbs: str, *names: str) -> Rule:
    """Return a rule as the tests compare it."""
    return group, resource, names, frozenset(verbs.split())


#: What the operator may do where it runs jobs.
JOBS = {
    rule("trainingjob.dev", "trainingjobs", "get list watch delete"),
    rule("trainingjob.dev", "trainingjobs/status", "update"),
    rule("", "pods", "get list watch create delete"),
    rule("", "services", "get create patch"),
    rule("discovery.k8s.io", "endpointslices", "get create patch"),
    rule("discovery.k8s.io", "endpointslices/restricted", "create"),
    rule("", "configmaps", "create"),
    rule("", "events", "create"),
}
#: What it may do in its own namespace.
OWN = {
    rule("coordination.k8s.io", "leases", "get update", "trainingjob-operator"),
    rule("", "secrets", "get update", "trainingjob-operator-intake"),
}
#: What it may do with the API server itself.
ISSUER = {rule("", "/.well-known/openid-configuration", "get"), rule("", "/openid/v1/jwks", "get")}
VIEW = {
    rule("trainingjob.dev", "trainingjobs", "get list watch"),
    rule("trainingjob.dev", "trainingjobs/status", "get"),
}
EDIT = {rule("trainingjob.dev", "trainingjobs", "create update patch delete deletecollection")}


def rules(role: helm.Manifest) -> set[Rule]:
    """Return a role's rules, one for each resource or URL."""
    found = []
    for item in role["rules"]:
        names = tuple(item.get("resourceNames", ()))
        found += [
            (group, resource, names, frozenset(item["verbs"]))
            for group in item.get("apiGroups", [""])
            for resource in [*item.get("resources", []), *item.get("nonResourceURLs", [])]
        ]
    assert len(set(found)) == len(found), "a rule is given twice"
    return set(found)


def roles(manifests: Iterable[helm.Manifest]) -> dict[tuple[str | None, str], set[Rule]]:
    """Return all roles: (namespace or None for the cluster, name) to rules."""
    return {
        (item["metadata"].get("namespace"), item["metadata"]["name"]): rules(item)
        for item in manifests
        if item["kind"] in ("Role", "ClusterRole")
    }


CLUSTER_NAME = f"{helm.RELEASE}-{helm.NAMESPACE}"


def test_cluster_mode_is_this_table(default: list[helm.Manifest]) -> None:
    assert roles(default) == {
        (None, CLUSTER_NAME): JOBS,
        (None, f"{CLUSTER_NAME}-issuer"): ISSUER,
        (None, f"{CLUSTER_NAME}-view"): VIEW,
        (None, f"{CLUSTER_NAME}-edit"): EDIT,
        (helm.NAMESPACE, helm.RELEASE): OWN,
    }


def test_namespaced_mode_has_the_same_rights_in_these_namespaces_only(namespaced: list[helm.Manifest]) -> None:
    assert roles(namespaced) == {
        ("team-a", CLUSTER_NAME): JOBS,
        ("team-b", CLUSTER_NAME): JOBS,
        (None, f"{CLUSTER_NAME}-issuer"): ISSUER,
        (None, f"{CLUSTER_NAME}-view"): VIEW,
        (None, f"{CLUSTER_NAME}-edit"): EDIT,
        (helm.NAMESPACE, helm.RELEASE): OWN,
    }


def test_its_own_namespace_may_be_one_that_it_runs_jobs_in() -> None:
    found = roles(helm.render({"watchNamespaces": [helm.NAMESPACE]}))
    assert found[(helm.NAMESPACE, CLUSTER_NAME)] == JOBS
    assert found[(helm.NAMESPACE, helm.RELEASE)] == OWN


def test_without_rights_on_the_cluster_nothing_of_the_cluster_is_made() -> None:
    manifests = helm.render(
        {
            "watchNamespaces": ["team-a"],
            "crds": {"install": False},
            "rbac": {"issuerDiscovery": False, "userRoles": False},
        }
    )
    assert [item["kind"] for item in manifests if "namespace" not in item["metadata"]] == []


def test_without_rbac_there_is_none() -> None:
    manifests = helm.render({"rbac": {"create": False, "userRoles": False}})
    assert [item["kind"] for item in manifests if "rbac" in item["apiVersion"]] == []


@pytest.mark.parametrize("mode", ["default", "namespaced"])
def test_each_of_the_operators_roles_is_bound_to_it_and_to_nobody_else(
    mode: str, request: pytest.FixtureRequest
) -> None:
    manifests: list[helm.Manifest] = request.getfixturevalue(mode)
    account = helm.pick(manifests, "ServiceAccount")["metadata"]
    bound = set()
    for item in manifests:
        if item["kind"] in ("RoleBinding", "ClusterRoleBinding"):
            assert item["subjects"] == [
                {"kind": "ServiceAccount", "name": account["name"], "namespace": account["namespace"]}
            ]
            assert item["roleRef"]["kind"] == item["kind"].removesuffix("Binding")
            bound.add((item["metadata"].get("namespace"), item["roleRef"]["name"]))
    people = {(None, f"{CLUSTER_NAME}-view"), (None, f"{CLUSTER_NAME}-edit")}
    assert bound == set(roles(manifests)) - people


def test_bindings_name_a_service_account_of_ones_own() -> None:
    manifests = helm.render({"serviceAccount": {"create": False, "name": "mine"}})
    assert helm.pick(manifests, "Deployment")["spec"]["template"]["spec"]["serviceAccountName"] == "mine"
    subjects = [item["subjects"][0]["name"] for item in manifests if item["kind"].endswith("Binding")]
    assert subjects == ["mine"] * 3


def test_people_get_trainingjobs_with_the_built_in_roles(default: list[helm.Manifest]) -> None:
    def aggregates(name: str) -> set[str]:
        prefix = "rbac.authorization.k8s.io/aggregate-to-"
        labels = helm.pick(default, "ClusterRole", name)["metadata"]["labels"]
        return {
            key.removeprefix(prefix) for key, value in labels.items() if key.startswith(prefix) and value == "true"
        }

    assert aggregates(f"{CLUSTER_NAME}-view") == {"view", "edit", "admin"}
    assert aggregates(f"{CLUSTER_NAME}-edit") == {"edit", "admin"}
    assert aggregates(CLUSTER_NAME) == set()


def test_each_verb_says_why() -> None:
    text = helm.template()
    unexplained = [
        line
        for block in re.findall(r"^( *)(?:- )?verbs:\n((?:\1 +- .*\n)+)", text, re.MULTILINE)
        for line in block[1].splitlines()
        if not re.search(r"- [a-z]+ # \S", line)
    ]
    verbs = sum(len(verbs) for rules_ in roles(helm.render()).values() for *_, verbs in rules_)
    # The two URLs share one line.
    assert len(re.findall(r"- [a-z]+ # ", text)) == verbs - 1
    assert unexplained == []


def test_two_releases_of_one_name_in_two_namespaces_share_no_cluster_object() -> None:
    def names(namespace: str) -> set[tuple[str, str]]:
        return {
            (item["kind"], item["metadata"]["name"])
            for item in helm.render({"crds": {"install": False}}, namespace=namespace)
            if "namespace" not in item["metadata"]
        }

    assert names("one") & names("two") == set()
