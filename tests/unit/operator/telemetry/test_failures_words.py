"""Every word that launcher and operator give for a failure has a label and stands in the docs, and no label is idle."""

import ast
import importlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import trainingjob_launcher
import trainingjob_operator.core
from tests.unit.operator.core.builders import ended, pending
from trainingjob_operator.core.failure import _DISRUPTIONS, of_lost, of_pod
from trainingjob_operator.telemetry.failures import (
    OF_LAUNCHERS,
    OF_THE_KUBELET,
    OF_THE_OPERATOR,
    OTHER,
    REASONS,
    reason_label,
)

STATUS_PAGE = Path(__file__).parents[4] / "docs" / "status.md"
#: Which argument of what carries the reason.
PLACES = {"Failure": 1, "TrainerExit": 2, "MemberLost": None, "replace": None, "_Deadline": 1}
FIELDS = ("reason", "_verdict", "REASON", "LIMIT_REASON", "OUT_OF_MEMORY")


def words(package: str, *only: str) -> set[str]:
    """All reasons that the modules of a package, or some of them, write down for a failure."""
    found: set[str] = set()
    for file in sorted(Path(importlib.import_module(package).__file__ or "").parent.glob("*.py")):
        if only and file.stem not in only:
            continue
        module = importlib.import_module(f"{package}.{file.stem}") if not file.stem.startswith("__") else None
        for expression in reasons(ast.parse(file.read_text())):
            for leaf in ast.walk(expression):
                value = leaf.value if isinstance(leaf, ast.Constant) else known(module, leaf)
                if isinstance(value, str) and re.fullmatch(r"[A-Z][a-z]*[A-Z]?\w+", value) and leaf_counts(leaf):
                    found.add(str(value))
    return found


def reasons(tree: ast.AST) -> Iterator[ast.expr]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            place = PLACES.get(name)
            if place is not None and len(node.args) > place:
                yield node.args[place]
            if name in PLACES:
                yield from (keyword.value for keyword in node.keywords if keyword.arg == "reason")
        elif isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names = {getattr(target, "attr", getattr(target, "id", "")) for target in targets}
            if names & set(FIELDS):
                yield node.value.elts[0] if isinstance(node.value, ast.Tuple) else node.value


def known(module: object, node: ast.AST) -> object:
    """The value of a name or an attribute that is a constant of the module."""
    if isinstance(node, ast.Name):
        return getattr(module, node.id, None)
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        return getattr(getattr(module, node.value.id, None), node.attr, None)
    return None


def leaf_counts(node: ast.AST) -> bool:
    """Names of comparisons are words too: Error and Completed are no reasons."""
    return not (isinstance(node, ast.Constant) and node.value in ("Error", "Completed"))


def test_the_launchers_words() -> None:
    found = words(trainingjob_launcher.__name__)
    assert {
        "TrainerFailed",
        "TrainerFrozen",
        "Stalled",
        "MemberLost",
        "CommandNotFound",
        "BackoffLimitExceeded",
    } < found
    assert found == OF_LAUNCHERS


def test_the_operators_words() -> None:
    own = words(trainingjob_operator.core.__name__, "failure", "deadlines", "restarts") | {
        str(reason) for reason in _DISRUPTIONS.values()
    }
    own |= {of_lost("worker-0", None, 1).reason, of_pod(ended(code=255, reason="Unknown"), 1).reason}
    assert own - OF_THE_KUBELET == OF_THE_OPERATOR - OF_THE_KUBELET
    assert own <= REASONS


@pytest.mark.parametrize("reason", sorted(OF_THE_KUBELET))
def test_the_kubelets_words_go_into_the_status_as_they_are(reason: str) -> None:
    if reason in ("OOMKilled", "StartError", "ContainerCannotRun"):
        pod = ended(code=137, reason=reason)
    else:
        pod = pending(reason=reason, message="Pod was rejected")
    assert of_pod(pod, 1).reason == reason


def test_each_has_a_label_of_its_own() -> None:
    assert {reason_label(reason) for reason in REASONS} == REASONS
    assert OTHER not in REASONS


def test_each_is_explained_to_people() -> None:
    text = STATUS_PAGE.read_text().partition("## Failures")[2].partition("\n## ")[0]
    assert {reason for reason in REASONS if not re.search(rf"\b{reason}\b", text)} == set()
