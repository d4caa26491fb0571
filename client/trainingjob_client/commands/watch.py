"""Watch TrainingJobs live: the table of all of them, or one with its metrics, redrawn on changes.

    kubectl trainingjob watch
    kubectl trainingjob watch mnist-cnn

With NAME it ends with the job: exit code 0 when the job succeeded, 1 when it failed or was deleted. Into a file or a
pipe go lines, one for each change. Ctrl-C ends it.
"""

import argparse

from trainingjob_client.cluster.options import add_cluster_arguments, cluster_options

HELP = "watch jobs live; with NAME until the job's end"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what the command takes."""
    parser.add_argument("name", metavar="NAME", nargs="?", help="one job, until its end (default: all, for ever)")
    parser.add_argument("-A", "--all-namespaces", action="store_true", help="jobs of all namespaces")
    parser.add_argument("-l", "--selector", metavar="LABELS", help="only jobs with these labels")
    parser.add_argument("--metric", metavar="NAME", action="append", default=[], help="plot this metric; repeatable")
    add_cluster_arguments(parser)


def run(options: argparse.Namespace) -> int:
    """Watch until the job's end or Ctrl-C."""
    from trainingjob_client.cluster.connection import connect
    from trainingjob_client.cluster.jobs import Jobs
    from trainingjob_client.cluster.watching import Following
    from trainingjob_client.draw.terminal import Terminal
    from trainingjob_client.errors import ClientError, Exit
    from trainingjob_client.live.screen import watch_live
    from trainingjob_client.live.stream import watch_lines

    if options.name and (options.all_namespaces or options.selector):
        raise ClientError("watch one job, NAME, or several, with -A and -l: not both", Exit.MISUSED)
    jobs = Jobs(connect(cluster_options(options)))
    if options.name:
        jobs.get(options.name)  # says which names are near
    following = Following(jobs, options.name, everywhere=options.all_namespaces, labels=options.selector)
    terminal = Terminal.standard()
    if terminal.live:
        return watch_live(following, terminal, tuple(options.metric))
    return watch_lines(following, terminal)
