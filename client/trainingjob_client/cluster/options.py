"""The options that say which cluster and namespace, spelled as kubectl spells them."""

import argparse
from dataclasses import dataclass


@dataclass(frozen=True)
class ClusterOptions:
    """Which cluster, as whom, in which namespace. None leaves it to the kubeconfig."""

    kubeconfig: str | None = None
    context: str | None = None
    namespace: str | None = None
    acting_for: str | None = None
    request_seconds: float = 30.0

    def kubectl(self) -> list[str]:
        """Return the same options for kubectl."""
        given = {"--kubeconfig": self.kubeconfig, "--context": self.context, "--as": self.acting_for}
        return [f"{name}={value}" for name, value in given.items() if value]


def add_cluster_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    group = parser.add_argument_group("cluster")
    group.add_argument("-n", "--namespace", metavar="NAME", help="namespace (default: the context's)")
    group.add_argument("--context", metavar="NAME", help="context of the kubeconfig (default: its current one)")
    group.add_argument("--kubeconfig", metavar="FILE", help="kubeconfig (default: $KUBECONFIG, then ~/.kube/config)")
    group.add_argument("--as", dest="acting_for", metavar="USER", help="user to act for")
    group.add_argument(
        "--request-timeout",
        metavar="SECONDS",
        type=_seconds,
        default=30.0,
        help="how long to wait for an answer of the API server, like 5 or 5s (default: 30s)",
    )


def cluster_options(options: argparse.Namespace) -> ClusterOptions:
    """Return what was given."""
    return ClusterOptions(
        kubeconfig=options.kubeconfig,
        context=options.context,
        namespace=options.namespace,
        acting_for=options.acting_for,
        request_seconds=options.request_timeout,
    )


def _seconds(text: str) -> float:
    try:
        seconds = float(text.removesuffix("s"))
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < 86400:
        raise argparse.ArgumentTypeError(f"{text!r} is no time in seconds: write 5 or 5s")
    return seconds
