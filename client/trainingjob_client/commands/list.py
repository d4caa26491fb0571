"""List TrainingJobs with what their trainings do, like `kubectl get tj`.

kubectl trainingjob list
kubectl trainingjob list -A -o wide
"""

import argparse
import json
import sys
from datetime import UTC, datetime

from trainingjob_client.cluster.options import add_cluster_arguments, cluster_options

HELP = "list jobs with progress, metrics and speed"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what the command takes."""
    parser.add_argument("-A", "--all-namespaces", action="store_true", help="jobs of all namespaces")
    parser.add_argument("-l", "--selector", metavar="LABELS", help="only jobs with these labels, like team=vision")
    parser.add_argument("-o", "--output", choices=("wide", "json", "name"), help="more columns, JSON, or names only")
    add_cluster_arguments(parser)


def run(options: argparse.Namespace) -> int:
    """Print the jobs."""
    from trainingjob_client.cluster.connection import connect
    from trainingjob_client.cluster.jobs import Jobs
    from trainingjob_client.draw.rows import rows
    from trainingjob_client.names import GROUP, PLURAL
    from trainingjob_client.view.job import read_job

    jobs = Jobs(connect(cluster_options(options)))
    found, _ = jobs.find(everywhere=options.all_namespaces, labels=options.selector)
    if options.output == "json":
        print(json.dumps({"apiVersion": "v1", "kind": "List", "items": found}, indent=4))
        return 0
    views = sorted((read_job(each) for each in found), key=lambda job: (job.namespace, job.name))
    if options.output == "name":
        for job in views:
            print(f"{PLURAL}.{GROUP}/{job.name}")
        return 0
    if not views:
        where = "any namespace" if options.all_namespaces else f"namespace {jobs.connection.namespace}"
        print(f"No TrainingJobs in {where}.", file=sys.stderr)
        return 0
    wide = options.output == "wide"
    for line in rows(views, datetime.now(UTC), wide=wide, namespaces=options.all_namespaces):
        print(line)
    return 0
