"""The installation that a machine without a cluster is: any node pool, any image, nobody to report to."""

import secrets
from collections.abc import Mapping
from typing import Any

from trainingjob_operator.api.v1alpha1 import NodePool
from trainingjob_operator.core.launcher_source import LauncherArchive
from trainingjob_operator.core.platform import Platform

#: The images' name: nothing is pulled.
NO_IMAGE = "this-machine"


def local_platform(spec: Mapping[str, Any]) -> Platform:
    """Return the platform of a run. Profiles that the job names are taken for there, without anything in them."""
    key = secrets.token_hex(32)
    evaluator = spec.get("evaluator")
    pools = [spec.get("nodePool"), evaluator.get("nodePool") if isinstance(evaluator, Mapping) else None]
    named = [pool.get("name") for pool in pools if isinstance(pool, Mapping)]
    return Platform(
        cpu_image=NO_IMAGE,
        gpu_image=NO_IMAGE,
        pull_policy="",
        intake_url="file://",
        intake_ca="",
        job_key=lambda _uid: key,
        launcher=LauncherArchive(b""),
        node_pools={name: NodePool() for name in named if isinstance(name, str)},
    )
