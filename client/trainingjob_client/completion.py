"""What Tab completes behind `kubectl trainingjob`: commands, options, names of jobs and members.

kubectl runs `kubectl_complete-trainingjob` with the words so far, the last one unfinished, and reads a candidate a
line and at the end `:N`: 4 for "nothing else", 0 for "names of files too". What goes wrong completes nothing.
"""

import argparse
import sys
from collections.abc import Sequence

from trainingjob_client.cli import build_parser

NO_FILES, FILES = 4, 0
_MEMBERS = ("all", "chief-0", "evaluator-0", "worker-0", "worker-1")
#: Long enough for a cluster that is near, short enough for a person who waits for Tab.
_SECONDS = 2.0


def main(words: Sequence[str] | None = None) -> int:
    """Print candidates for the last word."""
    given = list(sys.argv[1:] if words is None else words) or [""]
    try:
        candidates, directive = complete(given)
    except (Exception, SystemExit):
        candidates, directive = [], NO_FILES
    for candidate in candidates:
        if candidate.startswith(given[-1]):
            print(candidate)
    print(f":{directive}")
    return 0


def complete(words: Sequence[str]) -> tuple[list[str], int]:
    """Return candidates, and what else the shell may complete."""
    parsers = _commands()
    if len(words) == 1:
        return [*parsers, "--help", "--version"], NO_FILES
    parser = parsers.get(words[0])
    if parser is None:
        return [], NO_FILES
    options = {name: action for action in parser._actions for name in action.option_strings}
    before = options.get(words[-2])
    if before is not None and before.nargs is None and before.const is None:
        return _values(before)
    if words[-1].startswith("-"):
        return [name for name in options if name.startswith("--")], NO_FILES
    takes = [action.metavar for action in parser._actions if not action.option_strings]
    if "NAME" in takes:
        return _jobs(words), NO_FILES
    return [], FILES if "FILE" in takes else NO_FILES


def _commands() -> dict[str, argparse.ArgumentParser]:
    parser, _ = build_parser()
    found = next(action for action in parser._actions if isinstance(action, argparse._SubParsersAction))
    return dict(found.choices)


def _values(action: argparse.Action) -> tuple[list[str], int]:
    if action.choices:
        return [str(choice) for choice in action.choices], NO_FILES
    if action.metavar == "FILE":
        return [], FILES
    if action.metavar == "MEMBER":
        return list(_MEMBERS), NO_FILES
    return [], NO_FILES


def _jobs(words: Sequence[str]) -> list[str]:
    """Return the names of the jobs in the namespace that the words so far name."""
    from trainingjob_client.cluster.connection import connect
    from trainingjob_client.cluster.jobs import Jobs
    from trainingjob_client.cluster.options import ClusterOptions, add_cluster_arguments

    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    add_cluster_arguments(parser)
    given, _ = parser.parse_known_args(list(words[1:-1]))
    options = ClusterOptions(given.kubeconfig, given.context, given.namespace, given.acting_for, _SECONDS)
    found, _ = Jobs(connect(options)).find()
    return [str(job["metadata"]["name"]) for job in found]
