"""What kwok plays: nodes that are ready, pods that run at once and end well after a while.

The chief's pod ends with the report that a launcher leaves as its termination message, so that the operator learns of
the job's end by its own contract.
"""

from __future__ import annotations

from typing import Any

from trainingjob_operator.api import names
from trainingjob_operator.api.contract import Report, Training

NAMES = tuple(f"fake-{number}" for number in range(20))
#: Later than every report that the chiefs post while they run.
LAST_SEQUENCE = 1_000_000
PARALLEL = 16

Json = dict[str, Any]


def configuration(run_seconds: float | None) -> list[Json]:
    """Return kwok's documents. Pods run so long; None: until they are deleted."""
    options = {
        "cidr": "10.64.0.1/16",  # pods have addresses, else there would be no endpoints to write
        "podPlayStageParallelism": PARALLEL,
        "podsOnNodeSyncParallelism": PARALLEL,
        "nodePlayStageParallelism": 4,
        "nodeLeaseParallelism": 4,
    }
    head = {"apiVersion": "config.kwok.x-k8s.io/v1alpha1", "kind": "KwokConfiguration", "options": options}
    stages = [
        _stage("node-ready", "Node", [_key(".status.phase", "NotIn", "Running")], _NODE),
        _stage("pod-delete", "Pod", [_key(".metadata.deletionTimestamp", "Exists")], None),
        _stage("pod-run", "Pod", [_LIVES, _key(".status.phase", "In", "Pending")], _RUNNING),
    ]
    if run_seconds is not None:
        done = [_LIVES, _key(".status.phase", "In", "Running")]
        stages.append(_stage("pod-done", "Pod", done, _done(), int(run_seconds * 1000)))
    return [head, *stages]


def node(name: str) -> Json:
    """Return a node that has room for everything; kwok makes it ready."""
    room = {"cpu": "1000", "memory": "1Ti", "pods": "100000"}
    return {
        "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name, "type": "kwok"}},
        "status": {"allocatable": room, "capacity": room},
    }


def is_ready(body: Json) -> bool:
    """Whether a node says that it is ready."""
    conditions = (body.get("status") or {}).get("conditions") or ()
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


def last_word() -> str:
    """Return a chief's termination message."""
    training = Training(step=LAST_SEQUENCE, total_steps=LAST_SEQUENCE, percent=100.0, metrics={"loss": 0.01})
    return Report("chief-0", 1, 1, LAST_SEQUENCE, "Succeeded", True, training).encode(4096).decode()


def _key(key: str, operator: str, *values: str) -> Json:
    return {"key": key, "operator": operator, **({"values": list(values)} if values else {})}


def _stage(name: str, kind: str, conditions: list[Json], template: str | None, delay: int = 0) -> Json:
    spec: Json = {
        "resourceRef": {"apiGroup": "v1", "kind": kind},
        "selector": {"matchExpressions": conditions},
        "next": {"delete": True} if template is None else {"statusTemplate": template},
    }
    if delay:
        spec["delay"] = {"durationMilliseconds": delay}
    return {"apiVersion": "kwok.x-k8s.io/v1alpha1", "kind": "Stage", "metadata": {"name": name}, "spec": spec}


_LIVES = _key(".metadata.deletionTimestamp", "DoesNotExist")
_NODE = """
conditions:
- {type: Ready, status: "True", reason: KubeletReady, message: "", lastHeartbeatTime: {{ Now | Quote }}, lastTransitionTime: {{ Now | Quote }}}
addresses:
- {type: InternalIP, address: 127.0.0.1}
phase: Running
"""
_CONTAINERS = """
containerStatuses:
{{ range .spec.containers }}
- image: {{ .image | Quote }}
  imageID: ""
  name: {{ .name | Quote }}
  ready: READY
  restartCount: 0
  state:
STATE
{{ end }}
"""


def _conditions(ready: str, reason: str) -> str:
    lines = (
        f'- {{type: {kind}, status: "{value}", lastTransitionTime: {{{{ $now | Quote }}}}{reason if value != "True" else ""}}}'
        for kind, value in (("Initialized", "True"), ("Ready", ready), ("ContainersReady", ready))
    )
    return "conditions:\n" + "\n".join(lines)


_RUNNING = "\n".join(
    (
        "{{ $now := Now }}",
        _conditions("True", ""),
        _CONTAINERS.replace("READY", "true").replace("STATE", "    running:\n      startedAt: {{ $now | Quote }}"),
        "phase: Running",
        "startTime: {{ $now | Quote }}",
        # Of its UID: kwok may play a stage twice, and its own function gives another address each time.
        'podIP: {{ with .metadata.uid }}{{ printf "10.%d.%d.%d" (index . 0) (index . 1) (index . 2) | Quote }}{{ end }}',
    )
)


def _done() -> str:
    label = f'index $root.metadata.labels "{names.LABEL_ROLE}"'
    ended = f"""    terminated:
      exitCode: 0
      reason: Completed
      startedAt: {{{{ $now | Quote }}}}
      finishedAt: {{{{ $now | Quote }}}}
{{{{ if eq ({label}) "{names.ROLE_CHIEF}" }}}}
      message: {{{{ `{last_word()}` | Quote }}}}
{{{{ end }}}}"""
    return "\n".join(
        (
            "{{ $now := Now }}{{ $root := . }}",
            _conditions("False", ", reason: PodCompleted"),
            _CONTAINERS.replace("READY", "false").replace("STATE", ended),
            "phase: Succeeded",
        )
    )
