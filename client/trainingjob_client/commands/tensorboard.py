"""Open TensorBoard on a job's event files, while it trains or afterwards.

    kubectl trainingjob tensorboard mnist-cnn

The job writes them with `reporting: {tensorboard: true}`, beside its checkpoints; --logdir names another folder on
one of its volumes. TensorBoard runs in a pod beside the job, with the job's image and its volume read-only, and is
reached through a port-forward (needs kubectl, and the right to create pods). The pod goes at Ctrl-C.
"""

import argparse
import sys

from trainingjob_client import names
from trainingjob_client.cluster.options import add_cluster_arguments, cluster_options

HELP = "open TensorBoard on a job's event files"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what the command takes."""
    parser.add_argument("name", metavar="NAME", help="the job")
    parser.add_argument("--port", metavar="PORT", type=int, help="port of this machine (default: 6006 or a free one)")
    parser.add_argument("--image", metavar="IMAGE", help="an image with TensorBoard (default: the job's)")
    parser.add_argument("--logdir", metavar="PATH", help="folder with event files, on one of the job's volumes")
    add_cluster_arguments(parser)


def run(options: argparse.Namespace) -> int:
    """Run TensorBoard until Ctrl-C."""
    from trainingjob_client.cluster.connection import connect
    from trainingjob_client.cluster.jobs import Jobs
    from trainingjob_client.live.interrupts import leaving_on_sigterm
    from trainingjob_client.tensorboard.pod import build_pod
    from trainingjob_client.tensorboard.session import forward, kubectl, local_port, pod_of, wait_ready
    from trainingjob_client.view.pods import read_pod

    kubectl()
    port = local_port(options.port)
    jobs = Jobs(connect(cluster_options(options)))
    job = jobs.get(options.name)
    chiefs = [pod for pod in jobs.pods(job) if read_pod(pod).member == names.CHIEF]
    chief = max(chiefs, key=lambda pod: read_pod(pod).incarnation, default=None)
    body = build_pod(job, chief, image=options.image, logdir=options.logdir)
    namespace = job["metadata"]["namespace"]
    with leaving_on_sigterm(), pod_of(jobs.connection, body) as pod:
        print(f"starting TensorBoard in pod {pod.name} …", file=sys.stderr, flush=True)
        wait_ready(jobs.connection, namespace, pod)
        forward(jobs.connection, namespace, pod, port)
    return 0
