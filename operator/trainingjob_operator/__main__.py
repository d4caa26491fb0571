"""The command line: `run` the operator, print or check the `crd`, print the `version`."""

import argparse
import asyncio
import logging
import os
import sys
from pathlib import Path

from trainingjob_operator import __version__
from trainingjob_operator import settings as settings_module
from trainingjob_operator.api import crd


def main(arguments: list[str] | None = None) -> int:
    """Run one command; return the exit code."""
    parser = argparse.ArgumentParser(prog="trainingjob-operator", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    runner = commands.add_parser("run", help="run the operator in a cluster")
    settings_module.add_flags(runner)
    printer = commands.add_parser("crd", help="print the CustomResourceDefinition")
    printer.add_argument("--chart", action="store_true", help="as the template that the Helm chart holds")
    printer.add_argument(
        "--check", metavar="FILE", type=Path, help="fail if FILE, a chart template, is not up to date"
    )
    commands.add_parser("version", help="print the version")
    options = parser.parse_args(arguments)
    if options.command == "run":
        return _run(options)
    if options.command == "crd":
        return _crd(options)
    sys.stdout.write(f"{__version__}\n")
    return 0


def _run(options: argparse.Namespace) -> int:
    try:
        settings = settings_module.load(os.environ, vars(options))
        settings.require("namespace", "trainer_image_cpu", "intake_service", "intake_secret")
    except settings_module.SettingsError as error:
        sys.stderr.write(f"trainingjob-operator: {error}\n")
        return 2
    logging.basicConfig(level=settings.log_level, format="%(asctime)s %(levelname)-7s %(name)s: %(message)s")
    from trainingjob_operator.runtime import kopf_app  # costs 0.3 s that the other commands need not pay

    try:
        asyncio.run(kopf_app.run(settings))
    except Exception:
        logging.getLogger(__name__).exception("the operator ends")
        return 1
    return 0


def _crd(options: argparse.Namespace) -> int:
    if options.check is not None:
        problems = crd.check(options.check)
        for problem in problems:
            sys.stderr.write(f"{options.check}: {problem}\n")
        return 1 if problems else 0
    sys.stdout.write(crd.render_chart_template() if options.chart else crd.render_yaml())
    return 0


if __name__ == "__main__":
    sys.exit(main())
