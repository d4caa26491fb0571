"""Jobs for tests. Their programs need no TensorFlow: they start in a moment and end when they are told to."""

import json
from typing import Any

from tests.e2e.kube import Json

#: Ends at once, and well.
QUICK = """\
import trainingjob
trainingjob.report(step=100, total_steps=100, epoch=5, epochs=5, examples_per_second=1234.5,
                   loss=0.25, accuracy=0.875)
print("the program was here")
"""

#: Goes on until somebody makes the file /tmp/go in its container.
STEADY = """\
import os, time
import trainingjob
step = 0
while not os.path.exists("/tmp/go"):
    step += 1
    trainingjob.report(step=step, loss=1 / step)
    time.sleep(0.2)
trainingjob.report(step=4000, total_steps=4000, epoch=10, epochs=10, loss=0.0625, accuracy=0.9375)
print("told to go")
"""


def job(name: str, program: str = QUICK, *, workers: int = 0, **spec: Any) -> Json:
    """Return a job that runs `program` on every member; `spec` replaces or adds fields of the spec."""
    return {
        "apiVersion": "trainingjob.dev/v1alpha1",
        "kind": "TrainingJob",
        "metadata": {"name": name},
        "spec": {
            "workers": {"replicas": workers},
            "program": {"source": {"inline": {"files": {"main.py": program}}}},
            "reporting": {"intervalSeconds": 1},
            **spec,
        },
    }


def by_member(**programs: str) -> str:
    """Return one program that does another thing on each member: `by_member(chief_0=..., worker_0=...)`."""
    texts = {name.replace("_", "-"): text for name, text in programs.items()}
    return f"""\
import json, os
task = json.loads(os.environ.get("TF_CONFIG", "{{}}")).get("task", {{"type": "chief", "index": 0}})
texts = json.loads({json.dumps(texts)!r})
exec(compile(texts[f"{{task['type']}}-{{task['index']}}"], "member.py", "exec"))
"""


def node_key(namespace: str) -> str:
    """Return a node label of one test: pods that ask for it wait until the test puts it on a node."""
    return f"e2e.trainingjob.dev/{namespace}"
