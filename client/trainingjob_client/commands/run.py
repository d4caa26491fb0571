"""Run a TrainingJob on this machine, without a cluster.

The same spec is judged by the same rules, and the same launcher and trainer run it: each member is a process, and
they meet on loopback. The chief's log goes to standard output, the job's line (as in `kubectl get tj`) to standard
error.

    trainingjob run -f job.yaml                      # chief and workers as the job says
    trainingjob run -f job.yaml -w 0                 # the chief alone
    trainingjob run -f job.yaml --volume /data=~/digits -o yaml > result.yaml

Volumes become folders: a claim is ./trainingjob-data/CLAIM, a hostPath is itself, an emptyDir is gone at the end, and
--volume says it for any mount path. Paths in arguments, variables and the training spec are translated.

The exit code is 0 when the job has succeeded, 1 when it has failed, 2 when it was not started (an invalid spec, for
example), 130 after Ctrl-C. Ctrl-C lets the training save its state first; a second one kills it.
"""

import argparse
import json
import sys

from trainingjob_client import documents

HELP = "run a job on this machine, without a cluster"
NEEDED = "pip install . './client[run]' (in a checkout)"
_WRITERS = {
    "yaml": documents.write,
    "json": lambda body: json.dumps(body, indent=2, ensure_ascii=False) + "\n",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what the command takes."""
    parser.add_argument("-f", "--filename", required=True, metavar="FILE", help="a YAML or JSON file; - reads stdin")
    parser.add_argument("--name", metavar="NAME", help="which TrainingJob of the file, when it has several")
    parser.add_argument("-w", "--workers", type=int, metavar="N", help="instead of spec.workers.replicas")
    parser.add_argument("--python", metavar="PATH", help="the members' Python, with TensorFlow (default: this one)")
    parser.add_argument(
        "--volume",
        action="append",
        default=[],
        metavar="PATH=FOLDER",
        help="the folder in the place of what the job mounts at PATH, or of the image's PATH; may be repeated",
    )
    parser.add_argument("--source", metavar="FOLDER", help="the files in the place of the program's ConfigMap")
    parser.add_argument(
        "--data",
        default="trainingjob-data",
        metavar="FOLDER",
        help="where the folders of PersistentVolumeClaims are (default: ./trainingjob-data)",
    )
    parser.add_argument("--members-log", metavar="FOLDER", help="keep the logs of all members there")
    parser.add_argument(
        "-o", "--output", choices=("yaml", "json"), help="print the job with its status at the end; logs go to stderr"
    )


def run(options: argparse.Namespace) -> int:
    """Run the job; return its exit code."""
    try:
        # the one door to the operator's code, and only when it is wanted: see [tool.importlinter]
        from trainingjob_local import command
    except ModuleNotFoundError as error:
        sys.stderr.write(f"run needs the operator's package, and {error.name} is not installed: {NEEDED}\n")
        return 2
    return command.run(
        command.Options(
            file=options.filename,
            name=options.name,
            workers=options.workers,
            python=options.python or sys.executable,
            volumes=tuple(options.volume),
            source=options.source,
            data=options.data,
            members_log=options.members_log,
            write=_WRITERS.get(options.output),
        )
    )
