"""The installation's node pool profiles, from the file that the Helm chart mounts."""

import json
from pathlib import Path

from trainingjob_operator.api.v1alpha1 import NodePool
from trainingjob_operator.api.validation import parse_node_pool
from trainingjob_operator.settings import SettingsError


def load_node_pools(path: str) -> dict[str, NodePool]:
    """Read the profiles by name; no file, no profiles.

    Raises:
        SettingsError: the file is not JSON, or a profile is wrong; the text says where. Better no operator than one
            that sends jobs to the wrong nodes.
    """
    if not path:
        return {}
    try:
        document = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SettingsError(f"node pools file {path}: {error}") from error
    if not isinstance(document, dict):
        raise SettingsError(f"node pools file {path}: must be an object of names and profiles")
    pools: dict[str, NodePool] = {}
    for name, profile in document.items():
        pool, problems = parse_node_pool(profile, f"nodePools.{name}")
        if pool is None:
            raise SettingsError("; ".join(str(problem) for problem in problems))
        pools[name] = pool
    return pools
