"""Node pools: a profile of the installation and the job's own fields become one."""

from collections.abc import Mapping

from trainingjob_operator.api.v1alpha1 import NodePool


def resolve(pool: NodePool | None, profiles: Mapping[str, NodePool]) -> NodePool:
    """Return the node pool of a job.

    The job's own fields win over the profile's; node selectors and variables are merged and tolerations added,
    because a job that asks for one more label still wants to run on that pool. A profile that is not there counts as
    empty: validation has refused the job by then.
    """
    if pool is None:
        return NodePool()
    profile = profiles.get(pool.name) if pool.name else None
    if profile is None:
        return pool
    fields = {name: getattr(profile, name) for name in profile.model_fields_set}
    fields |= {name: getattr(pool, name) for name in pool.model_fields_set if getattr(pool, name) is not None}
    if profile.node_selector and pool.node_selector:
        fields["node_selector"] = {**profile.node_selector, **pool.node_selector}
    if profile.tolerations and pool.tolerations:
        fields["tolerations"] = [*profile.tolerations, *(t for t in pool.tolerations if t not in profile.tolerations)]
    if profile.env and pool.env:
        own = {variable.name for variable in pool.env}
        fields["env"] = [*(variable for variable in profile.env if variable.name not in own), *pool.env]
    return NodePool.model_construct(_fields_set=set(fields), **{**_EMPTY, **fields})


_EMPTY = dict.fromkeys(NodePool.model_fields)
