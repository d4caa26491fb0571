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

#: Waits for the others without a word: as far as anybody knows it has not made a step.
WAITS = """\
import os, time
while not os.path.exists("/tmp/go"):
    time.sleep(0.2)
"""

#: Makes one step at each start, the same one, and then waits for the others.
ONE_STEP = """\
import os, time
import trainingjob
trainingjob.report(step=1, loss=1.0)
while not os.path.exists("/tmp/go"):
    time.sleep(0.2)
"""

#: Kills whatever runs main.py in its container: that is the trainer, not the launcher, which is process 1.
KILL_TRAINER = """\
import os
for pid in filter(str.isdigit, os.listdir("/proc")):
    if int(pid) not in (1, os.getpid()) and b"main.py" in open(f"/proc/{pid}/cmdline", "rb").read():
        os.kill(int(pid), 9)
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
