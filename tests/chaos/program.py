"""The program that is broken: TensorFlow on all members, exact from step to step, and ready to do what a test asks.

Its folder /test is the test's: `steps` has a line for each finished step, `do/MEMBER.MOMENT.py` is run once at that
moment on that member, and `last` is the step to end at (without it, the argument of the program).
"""

from typing import Any

from tests.e2e.kube import Json

PROGRAM = '''\
"""Linear regression under MultiWorkerMirroredStrategy; a step's batch follows from the step alone."""
import json, os, sys, time
import tensorflow as tf
import trainingjob

FOLDER = "/test"
LAST = int(sys.argv[1]) if len(sys.argv) > 1 else 0
PACE = float(sys.argv[2]) if len(sys.argv) > 2 else 0.1
task = json.loads(os.environ.get("TF_CONFIG", "{}")).get("task", {"type": "chief", "index": 0})
member = f"{task['type']}-{task['index']}"
generation = os.environ.get("TRAININGJOB_GENERATION", "1.1")


def moment(name):
    """Do what the test has put there for this member and this moment, once."""
    file = f"{FOLDER}/do/{member}.{name}.py"
    try:
        os.rename(file, f"{file}.done")
    except OSError:
        return
    again = lambda: os.rename(f"{file}.done", file)  # for what has to wait for its step
    exec(compile(open(f"{file}.done").read(), file, "exec"), {**globals(), "again": again})


def last():
    """Return the step to end at, the same on all members: it is told some steps before it comes."""
    try:
        return int(open(f"{FOLDER}/last").read())
    except (OSError, ValueError):
        return LAST


moment("start")
strategy = tf.distribute.MultiWorkerMirroredStrategy()
members = strategy.num_replicas_in_sync
rank = task["index"] + (task["type"] == "worker")
with strategy.scope():
    w = tf.Variable(tf.zeros([4, 1]))
    v = tf.Variable(tf.zeros([4, 1]))
moment("restore")
state = trainingjob.checkpoint(weights=[w, v])
moment("restored")
TRUTH = tf.constant([[1.0], [-2.0], [3.0], [0.5]])


@tf.function
def train(step):
    def share():
        """Return this member's part of the gradient, and of the loss."""
        x = tf.random.stateless_normal([12, 4], [7, tf.cast(step, tf.int32)])
        x = x[12 * rank // members : 12 * (rank + 1) // members]
        error = x @ w - (x @ TRUTH + 1.0)
        gradient = tf.matmul(x, error, transpose_a=True)
        return tf.concat([tf.reshape(gradient, [4]), [tf.reduce_sum(error**2)]], axis=0) / 12.0
    total = strategy.reduce("SUM", strategy.run(share), axis=None)
    v.assign(0.9 * v + tf.reshape(total[:4], [4, 1]))
    w.assign_sub(0.01 * v)
    return total[4]


step = state.step
while not last() or step < last():
    moment("step")
    loss = float(train(tf.constant(step, tf.int64)))
    step += 1
    if rank == 0:
        with open(f"{FOLDER}/steps", "a") as file:
            file.write(f"{time.time():.3f} {generation} {step}\\n")
    moment("stepped")
    state.save(step)
    moment("saved")
    trainingjob.report(step=step, batch_size=12, loss=loss)
    if last() and step == last():
        moment("last")
    time.sleep(PACE)
state.finish()
moment("end")
print("result", step, members, repr(loss), *(repr(float(x)) for x in w.numpy().ravel()), flush=True)
'''


#: Steps between two checkpoints.
EVERY = 5


def on_machine(path: str) -> Json:
    """Return a volume that is a folder of the machine."""
    return {"hostPath": {"path": path, "type": "Directory"}}


def gang(name: str, folder: str, *, workers: int = 1, last: int = 0, pace: float = 0.1, **spec: Any) -> Json:
    """Return a job that runs the program with its folder, and its checkpoints in it, on the machine."""
    return {
        "apiVersion": "trainingjob.dev/v1alpha1",
        "kind": "TrainingJob",
        "metadata": {"name": name},
        "spec": {
            "workers": {"replicas": workers},
            "resources": {"requests": {"cpu": "100m", "memory": "256Mi"}, "limits": {"memory": "1Gi"}},
            "program": {
                "command": ["python3", "main.py"],
                "args": [str(last), str(pace)],
                "source": {"inline": {"files": {"main.py": PROGRAM}}},
            },
            "volumes": [{"mountPath": "/test", **on_machine(folder)}],
            "checkpoint": {"volume": on_machine(f"{folder}/checkpoints"), "everySteps": EVERY},
            "reporting": {"intervalSeconds": 1},
            **spec,
        },
    }
