"""The command line of `kubectl trainingjob` and `trainingjob`: which commands there are."""

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module, metadata

#: Each is a module of `trainingjob_client.commands`, with HELP, add_arguments(parser) and run(options) -> exit code.
COMMANDS = ("convert",)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return the exit code: 0 done, 1 not done, 2 not understood."""
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
    options = parser.parse_args(arguments)
    code = modules[options.command].run(options)
    return int(code)


def version() -> str:
    """Return the version of the installed package; `dev` when it runs from a source tree."""
    try:
        return metadata.version("trainingjob-client")
    except metadata.PackageNotFoundError:
        return "dev"
