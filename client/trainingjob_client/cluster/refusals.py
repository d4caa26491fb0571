"""What the cluster, or the way to it, refuses: in a sentence with its remedy, without tokens and headers."""

import json
from collections.abc import Iterator
from contextlib import contextmanager

from kubernetes.client.exceptions import ApiException
from urllib3.exceptions import HTTPError, MaxRetryError, NewConnectionError, ProtocolError, SSLError
from urllib3.exceptions import TimeoutError as TooSlow

from trainingjob_client.errors import ClientError, Exit

INSTALL = "install the operator's chart (helm install trainingjob-operator charts/trainingjob-operator)"

_BROKEN = "{host} broke the connection: is it a Kubernetes API server, and the way to it stable?"
_UNTRUSTED = (
    "the certificate of {host} is not signed by the authority that the kubeconfig names: "
    "get a new kubeconfig for this cluster, or choose another --context"
)


@contextmanager
def asking(host: str, what: str) -> Iterator[None]:
    """Turn what goes wrong in the block into a ClientError. `what` names the request: `list trainingjobs`."""
    try:
        yield
    except ApiException as error:
        raise ClientError(refusal(error, host, what), Exit.CLUSTER) from error
    except HTTPError as error:
        raise ClientError(unreachable(error, host), Exit.CLUSTER) from error
    except ValueError as error:
        text = f"{host} answered something that is no JSON: is it a Kubernetes API server?"
        raise ClientError(text, Exit.CLUSTER) from error


def refusal(error: ApiException, host: str, what: str) -> str:
    """Return what an answer other than 2xx means."""
    said = message(error)
    if error.status == 0:  # the client's way to say that TLS failed
        return _handshake(str(error.reason), host)
    if error.status == 401:
        return f"{host} does not accept your credentials (401): log in again, or choose another --context"
    if error.status == 403:
        return f"you may not {what}: {said}. Ask for the cluster role `view` (to look) or `edit` (to act)"
    if error.status == 404 and _unknown_path(error):
        return f"the cluster at {host} knows no TrainingJobs: {INSTALL}, or choose another --context"
    if error.status == 429:
        return f"{host} is too busy to {what} (429): try again in a moment"
    return f"{host} can't {what} ({error.status}): {said}"


def message(error: ApiException) -> str:
    """Return the API server's own sentence."""
    try:
        body = json.loads(error.body or "")
        text = body.get("message") if isinstance(body, dict) else None
    except ValueError:
        text = None
    return str(text or error.reason or "no reason given").strip().rstrip(".").partition("\n")[0]


def unreachable(error: HTTPError, host: str) -> str:
    """Return why no answer came."""
    cause: BaseException = error
    while isinstance(cause, MaxRetryError) and cause.reason is not None:
        cause = cause.reason
    if isinstance(cause, SSLError):
        return _handshake(str(cause), host)
    if isinstance(cause, TooSlow) and not isinstance(cause, NewConnectionError):
        return f"{host} does not answer in time: is the cluster up, the VPN on? --request-timeout waits longer"
    if isinstance(cause, ProtocolError):
        return _BROKEN.format(host=host)
    return f"{host} can't be reached: is the cluster up, and --context the right one?"


def _handshake(said: str, host: str) -> str:
    """Return why TLS failed: a certificate that is not trusted, or nobody who speaks TLS to the end."""
    return (_UNTRUSTED if "certificate" in said.lower() else _BROKEN).format(host=host)


def is_missing_object(error: BaseException | None) -> bool:
    """Whether the API server knows the resource, but not the object."""
    return isinstance(error, ApiException) and error.status == 404 and not _unknown_path(error)


def _unknown_path(error: ApiException) -> bool:
    """Whether the API server does not know the resource; a missing object has a Status with its name."""
    try:
        details = json.loads(error.body or "").get("details") or {}
    except (ValueError, AttributeError):
        return True
    return not details.get("name")
