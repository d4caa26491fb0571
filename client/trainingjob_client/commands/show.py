"""Show one TrainingJob: progress, metrics with a plot of their history, members and nodes, why it failed.

    kubectl trainingjob show mnist-cnn
    kubectl trainingjob show mnist-cnn --metric loss --metric val_loss

What can't be read (events or pods, without the right to list them) is left out. Colours are for terminals only, and
NO_COLOR turns them off.
"""

import argparse
import json
from datetime import UTC, datetime

from trainingjob_client.cluster.options import add_cluster_arguments, cluster_options

HELP = "show a job's status, with plots of its metrics"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what the command takes."""
    parser.add_argument("name", metavar="NAME", help="the job")
    parser.add_argument("--metric", metavar="NAME", action="append", default=[], help="plot this metric; repeatable")
    parser.add_argument("-o", "--output", choices=("json",), help="the whole object as JSON")
    add_cluster_arguments(parser)


def run(options: argparse.Namespace) -> int:
    """Print the job."""
    from trainingjob_client.cluster.connection import connect
    from trainingjob_client.cluster.jobs import Jobs
    from trainingjob_client.cluster.snapshot import surroundings
    from trainingjob_client.draw.show import Paper, show
    from trainingjob_client.draw.terminal import Terminal
    from trainingjob_client.view.job import read_job

    jobs = Jobs(connect(cluster_options(options)))
    body = jobs.get(options.name)
    if options.output == "json":
        print(json.dumps(body, indent=4))
        return 0
    members, events = surroundings(jobs, body)
    terminal = Terminal.standard()
    paper = Paper(terminal.width, terminal.ascii_only, tuple(options.metric))
    terminal.write(show(read_job(body), members, events, datetime.now(UTC), paper))
    return 0
