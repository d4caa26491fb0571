"""What a person needs to know when a test has failed: the jobs, their pods, events and logs, and the operator's."""

from tests.e2e.installation import NAMESPACE, SELECTOR
from tests.e2e.kube import JOBS, CommandError, Kube

TAIL = "--tail=60"


def describe(kube: Kube, namespace: str) -> list[tuple[str, str]]:
    """Return (title, text) of everything about a namespace, and the operator's log."""
    here = ("-n", namespace)
    parts = [
        ("jobs", (*here, "get", JOBS, "-o", "yaml", "--show-managed-fields=false")),
        ("pods and services", (*here, "get", "pods,services", "-o", "wide")),
        ("events", (*here, "get", "events", "--sort-by=.metadata.creationTimestamp")),
        ("logs", (*here, "logs", "-l", "trainingjob.dev/job", "--prefix", "--all-containers", TAIL)),
        ("operator pods", ("-n", NAMESPACE, "get", "pods", "-o", "wide")),
        ("operator", ("-n", NAMESPACE, "logs", "-l", SELECTOR, "--prefix", TAIL)),
    ]
    return [(f"{namespace}: {title}", _try(kube, arguments)) for title, arguments in parts]


def _try(kube: Kube, arguments: tuple[str, ...]) -> str:
    try:
        return kube.kubectl(*arguments, timeout=30)
    except (CommandError, TimeoutError) as error:
        return str(error)
