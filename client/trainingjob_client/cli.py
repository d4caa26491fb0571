"""The command line of `kubectl trainingjob` and `trainingjob`: which commands there are."""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from importlib import import_module, metadata

from trainingjob_client.errors import ClientError, Exit

#: Each is a module of `trainingjob_client.commands`, with HELP, add_arguments(parser) and run(options) -> exit code.
COMMANDS = (
    "list",
    "show",
    "watch",
    "logs",
    "plot",
    "tensorboard",
    "run",
    "convert",
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return its exit code, see `Exit`."""
    parser, runs = build_parser()
    options = parser.parse_args(arguments)
    try:
        code = int(runs[options.command](options))
        sys.stdout.flush()
    except ClientError as error:
        sys.stdout.flush()
        print(f"{parser.prog} {options.command}: {error}", file=sys.stderr)
        return error.code
    except KeyboardInterrupt:
        return Exit.INTERRUPTED
    except BrokenPipeError:
        # who read our output, like `head`, has enough; the interpreter's own last flush must not fail on it again
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.DONE
    return code


def build_parser() -> tuple[argparse.ArgumentParser, dict[str, Callable[[argparse.Namespace], int]]]:
    """Return the parser, and what runs each command. No command imports more than it needs for its options."""
    name = "kubectl trainingjob" if "kubectl" in sys.argv[0] else "trainingjob"
    parser = argparse.ArgumentParser(prog=name, description="Work with TrainingJobs.")
    parser.add_argument("--version", action="version", version=version())
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    modules = {command: import_module(f"trainingjob_client.commands.{command}") for command in COMMANDS}
    for command, module in modules.items():
        module.add_arguments(
            subparsers.add_parser(
                command,
                help=module.HELP,
                description=module.__doc__,
                formatter_class=argparse.RawDescriptionHelpFormatter,
            )
        )
    return parser, {command: module.run for command, module in modules.items()}


def version() -> str:
    """Return the version of the installed package; `dev` when it runs from a source tree."""
    try:
        return metadata.version("trainingjob-client")
    except metadata.PackageNotFoundError:
        return "dev"
