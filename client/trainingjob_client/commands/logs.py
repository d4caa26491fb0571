"""Print the training log of a job's member: the chief's, unless another is named.

    kubectl trainingjob logs mnist-cnn -f
    kubectl trainingjob logs mnist-cnn --member worker-1 --tail 20
    kubectl trainingjob logs mnist-cnn --member all

    kubectl trainingjob logs mnist-cnn --member worker-1 --previous

With -f it waits for pods that are not there yet, goes on in the pod that takes another's place, and ends with the
job. A pod that was deleted took its log with it; of one that failed it stays, see also `show`.
What is not part of the log goes to standard error.
"""

import argparse
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

from trainingjob_client import names
from trainingjob_client.cluster.options import add_cluster_arguments, cluster_options
from trainingjob_client.errors import ClientError, Exit

if TYPE_CHECKING:
    from trainingjob_client.cluster.logs import Line
    from trainingjob_client.view.pods import PodView

HELP = "print or follow the training log"
ALL = "all"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what the command takes."""
    parser.add_argument("name", metavar="NAME", help="the job")
    parser.add_argument("-f", "--follow", action="store_true", help="go on until the job's end")
    parser.add_argument(
        "--member",
        metavar="MEMBER",
        default=names.CHIEF,
        help=f"{names.CHIEF} (default), worker-1, evaluator-0, or {ALL}",
    )
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--incarnation", metavar="N", type=int, help="the member's N-th pod (default: its newest)")
    which.add_argument("-p", "--previous", action="store_true", help="the pod before the newest that is still there")
    parser.add_argument("--tail", metavar="LINES", type=int, help="only so many lines from the end")
    add_cluster_arguments(parser)


def run(options: argparse.Namespace) -> int:
    """Print the log."""
    from trainingjob_client.cluster.connection import connect
    from trainingjob_client.cluster.jobs import Jobs
    from trainingjob_client.cluster.logs import Logs
    from trainingjob_client.live.follow import Follower
    from trainingjob_client.view.pods import read_pod

    if options.follow and (options.previous or options.incarnation is not None):
        raise ClientError("-f follows the newest pods: it goes without --previous and --incarnation", Exit.MISUSED)
    if options.tail is not None and options.tail < 0:
        raise ClientError(f"--tail {options.tail}: must be 0 or more", Exit.MISUSED)
    jobs = Jobs(connect(cluster_options(options)))
    if options.follow:
        follower = Follower(jobs, options.name, lambda pod: options.member in (ALL, pod.member), _tell)
        return _print(follower.lines(options.tail), prefixed=options.member == ALL)
    body = jobs.get(options.name)
    pods = [read_pod(each) for each in jobs.pods(body)]
    found = choose(options.name, pods, options.member, options.incarnation, previous=options.previous)
    logs = Logs(jobs.connection, body["metadata"]["namespace"])
    return _print(logs.merged(found, options.tail), prefixed=options.member == ALL)


def choose(
    job: str, pods: "list[PodView]", member: str, incarnation: int | None, *, previous: bool = False
) -> "list[PodView]":
    """Return the pods whose logs to print, one a member.

    Raises:
        ClientError: there is none, or the one there is has not started.
    """
    by_member: dict[str, list[PodView]] = {}
    for pod in sorted(pods, key=lambda pod: pod.order):
        by_member.setdefault(pod.member, []).append(pod)
    if member != ALL and member not in by_member:
        known = ", ".join(by_member)
        what = f"it has {known}" if known else "it has none: not made yet (-f waits for them), or cleaned up"
        raise ClientError(f"{job} has no pod of {member}; {what}")
    found: list[PodView] = []
    for name, own in by_member.items():
        if member not in (ALL, name):
            continue
        matching = _matching(own, incarnation, previous=previous)
        if not matching and member != ALL:
            there = ", ".join(str(pod.incarnation) for pod in own)
            wanted = "before the newest" if incarnation is None else str(incarnation)
            raise ClientError(f"{job} has no pod {wanted} of {name}; there is: {there}")
        found += matching
    started = [pod for pod in found if pod.started]
    if not started:
        waiting = ", ".join(f"{pod.member} is {pod.phase} {pod.reason}".rstrip() for pod in found)
        raise ClientError(f"{job} has no log yet: {waiting or 'it has no such pod'}; -f waits for it")
    return started


def _matching(own: "list[PodView]", incarnation: int | None, *, previous: bool) -> "list[PodView]":
    """Return the pod that is wanted of a member's, which are in order. Some that there were may be gone."""
    if incarnation is not None:
        return [pod for pod in own if pod.incarnation == incarnation]
    older = [pod for pod in own if pod.incarnation < own[-1].incarnation]
    return older[-1:] if previous else own[-1:]


def _print(lines: "Iterator[Line]", *, prefixed: bool) -> int:
    for line in lines:
        sys.stdout.write(f"{line.member:<10} | {line.text}\n" if prefixed else f"{line.text}\n")
        sys.stdout.flush()
    return Exit.DONE


def _tell(text: str) -> None:
    print(f"({text})", file=sys.stderr, flush=True)
