"""The way to a cluster: kubeconfig, context and namespace become a client."""

import json
import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kubernetes import config
from kubernetes.client import ApiClient, Configuration
from kubernetes.client.exceptions import ApiException
from urllib3 import HTTPResponse

from trainingjob_client.cluster.options import ClusterOptions
from trainingjob_client.cluster.refusals import asking
from trainingjob_client.errors import ClientError, Exit

_IN_CLUSTER = Path("/var/run/secrets/kubernetes.io/serviceaccount")
#: `logs --member all` keeps one connection open for each member.
_POOL = 256
CONNECT_SECONDS = 10.0


@dataclass(frozen=True)
class Connection:
    """A client, the namespace to work in, and the options that kubectl needs to go the same way."""

    client: ApiClient
    namespace: str
    options: ClusterOptions

    @property
    def host(self) -> str:
        """Address of the API server."""
        return str(self.client.configuration.host)

    def ask(self, what: str, method: str, path: str, body: Any = None, **query: str | int | None) -> Any:
        """Send a request and return the answer as plain JSON.

        Args:
            what: names the request in errors, as in "you may not {what}".
            method: GET, POST, DELETE.
            path: path of the API.
            body: what to send, as JSON.
            query: parameters as the API spells them; those that are None are left out.

        Raises:
            ClientError: no connection, or the API server refused.
        """
        with asking(self.host, what):
            with closing(self.open(method, path, body, seconds=self.options.request_seconds, **query)) as answer:
                data = answer.read()
            return json.loads(data) if data else None

    def open(
        self, method: str, path: str, body: Any = None, *, seconds: float, **query: str | int | None
    ) -> HTTPResponse:
        """Send a request and return the open answer; between two pieces of it may be `seconds`.

        Raises:
            ApiException: the API server refused.
            urllib3.exceptions.HTTPError: no connection.
        """
        request = self.client.param_serialize(
            method,
            path,
            query_params=[(name, str(value)) for name, value in query.items() if value is not None],
            header_params={"Accept": "application/json", "Content-Type": "application/json"},
            body=body,
            auth_settings=["BearerToken"],
        )
        answer = self.client.call_api(*request, _request_timeout=(min(CONNECT_SECONDS, seconds), seconds))
        if not 200 <= answer.status <= 299:
            text = answer.read().decode(errors="replace")
            raise ApiException(status=answer.status, reason=answer.reason, body=text)
        response: HTTPResponse = answer.response
        return response

    def lines(self, response: HTTPResponse) -> Iterator[bytes]:
        """Yield the lines of an open answer as they come, and close it at its end.

        Raises:
            urllib3.exceptions.HTTPError: the connection broke.
        """
        rest = b""
        with closing(response):
            for piece in response.stream(None, decode_content=False):
                *whole, rest = (rest + piece).split(b"\n")
                yield from whole
        if rest:
            yield rest


def connect(options: ClusterOptions) -> Connection:
    """Return a connection. Nothing is sent yet.

    Raises:
        ClientError: there is no kubeconfig, or it says nothing that can be used.
    """
    # What these say, commands say better; and what they warn of is not the user's to mend.
    logging.getLogger("urllib3").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="urllib3")
    configuration = Configuration()
    namespace = _from_pod(options, configuration) if _inside(options) else _load(options, configuration)
    configuration.retries = False
    configuration.connection_pool_maxsize = _POOL
    client = ApiClient(configuration)
    if options.acting_for:
        client.set_default_header("Impersonate-User", options.acting_for)
    return Connection(client, namespace, options)


def _inside(options: ClusterOptions) -> bool:
    """Whether this runs in a pod, and no kubeconfig says otherwise."""
    if options.kubeconfig or options.context or os.environ.get("KUBECONFIG") or not (_IN_CLUSTER / "token").exists():
        return False
    return not Path("~/.kube/config").expanduser().exists()


def _from_pod(options: ClusterOptions, configuration: Configuration) -> str:
    """Take the service account of the pod that this runs in; return the namespace."""
    config.load_incluster_config(client_configuration=configuration)
    return options.namespace or (_IN_CLUSTER / "namespace").read_text(encoding="utf-8").strip()


def _load(options: ClusterOptions, configuration: Configuration) -> str:
    """Read the kubeconfig into `configuration`; return the namespace."""
    file = options.kubeconfig or os.environ.get("KUBECONFIG") or str(Path("~/.kube/config").expanduser())
    files = [options.kubeconfig] if options.kubeconfig else file.split(os.pathsep)
    if not any(Path(each).expanduser().is_file() for each in files if each):
        raise ClientError(f"there is no kubeconfig {file}: set KUBECONFIG, or give --kubeconfig FILE", Exit.CLUSTER)
    try:
        contexts, current = config.list_kube_config_contexts(file)
        by_name = {each["name"]: each for each in contexts}
        if options.context and options.context not in by_name:
            known = ", ".join(sorted(by_name)) or "none"
            raise ClientError(f"{file} has no context {options.context!r}; it has: {known}", Exit.CLUSTER)
        config.load_kube_config(file, context=options.context, client_configuration=configuration)
    except ClientError:
        raise
    except Exception as error:  # anything: the file is the user's, and so are the programs that it names
        said = (str(error) or type(error).__name__).partition("\n")[0]
        raise ClientError(f"the kubeconfig {file} can't be used: {said}", Exit.CLUSTER) from error
    chosen = by_name[options.context] if options.context else current
    return options.namespace or (chosen.get("context") or {}).get("namespace") or "default"
