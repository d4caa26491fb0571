"""What an installation knows and a job does not say: images, node pool profiles, where and how to report."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from trainingjob_operator.api.v1alpha1 import NodePool
from trainingjob_operator.core.launcher_source import LauncherArchive


@dataclass(frozen=True)
class Platform:
    """The installation, as the builder of pods needs it.

    `job_key` derives the hex rendezvous key of the job with a UID. `intake_url` has no trailing slash.
    `gpu_image` is empty where the installation has none. `launcher` is for the images that don't hold it.
    """

    cpu_image: str
    gpu_image: str
    pull_policy: str
    intake_url: str
    intake_ca: str
    job_key: Callable[[str], str]
    launcher: LauncherArchive
    node_pools: Mapping[str, NodePool] = field(default_factory=dict)
