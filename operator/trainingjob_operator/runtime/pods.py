"""The pods of all watched namespaces as one: each informer has one namespace, or the only one has all."""

from collections.abc import Sequence
from typing import Any

from trainingjob_operator.core.observe import PodFact
from trainingjob_operator.kube.informer import Informer


class PodCache:
    """Looks pods up in whichever informer has them."""

    def __init__(self, informers: Sequence[Informer[PodFact]]) -> None:
        self._informers = informers

    def get(self, uid: str) -> PodFact | None:
        """Return the pod with this UID."""
        return next((pod for informer in self._informers if (pod := informer.get(uid)) is not None), None)

    def of_owner(self, uid: str) -> tuple[PodFact, ...]:
        """Return the pods of the job with this UID."""
        return tuple(pod for informer in self._informers for pod in informer.of_owner(uid))

    def remember(self, body: dict[str, Any]) -> None:
        """Take a pod that the API server just returned, before the watch tells of it."""
        namespace = body.get("metadata", {}).get("namespace")
        for informer in self._informers:
            if informer.namespace in (None, namespace):
                informer.remember(body)
                return
