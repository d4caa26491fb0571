"""Plot a job's metrics into a file: .png, .svg or .pdf, by its ending.

    kubectl trainingjob plot mnist-cnn -o mnist-cnn.png
    kubectl trainingjob plot mnist-cnn -o loss.svg --metric loss --metric val_loss

A metric and its val_ twin share a picture. Dotted lines are where a new generation took over.
"""

import argparse

from trainingjob_client.cluster.options import add_cluster_arguments, cluster_options
from trainingjob_client.errors import ClientError

HELP = "plot a job's metrics into a PNG, SVG or PDF file"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what the command takes."""
    parser.add_argument("name", metavar="NAME", help="the job")
    parser.add_argument("-o", "--output", metavar="FILE", required=True, help="the file, like metrics.png")
    parser.add_argument("--metric", metavar="NAME", action="append", default=[], help="only this metric; repeatable")
    add_cluster_arguments(parser)


def run(options: argparse.Namespace) -> int:
    """Write the file."""
    from trainingjob_client.draw.figure import check, write

    check(options.output)
    from trainingjob_client.cluster.connection import connect
    from trainingjob_client.cluster.jobs import Jobs
    from trainingjob_client.view.history import metric_names, series
    from trainingjob_client.view.job import read_job

    job = read_job(Jobs(connect(cluster_options(options))).get(options.name))
    known = metric_names(job)
    unknown = [name for name in options.metric if name not in known]
    if unknown:
        raise ClientError(f"{job.name} has no metric {', '.join(unknown)}; it has: {', '.join(known) or 'none'}")
    drawn = [line for name in options.metric or known if (line := series(job.training.history, name)).points]
    if not drawn:
        raise ClientError(
            f"{job.name} has no history of metrics: it has not reported any yet, or spec.reporting.history is 0"
        )
    write(options.output, job.name, drawn)
    print(options.output)
    return 0
