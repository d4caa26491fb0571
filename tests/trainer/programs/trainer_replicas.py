"""Takes steps of declarative jobs on one replica and on two in this process: a member with two accelerators.

    trainer_replicas.py JOBS.json        # {name: [document, steps]} → {name: {"one": losses, "two": losses, …}}

Two logical devices on the processor stand for the accelerators. TensorFlow takes them only before its first operation,
and numbers collectives by strategy: hence a process of its own, with one strategy for all jobs.
"""

import json
import os
import sys

import keras
import results
import tensorflow as tf

from trainingjob_trainer.cluster import Cluster, Member
from trainingjob_trainer.document import parse
from trainingjob_trainer.job import build_job
from trainingjob_trainer.optimizer import SUMMING
from trainingjob_trainer.randomness import tell_members_apart

DEVICES = [tf.config.LogicalDeviceConfiguration()] * 2
tf.config.set_logical_device_configuration(tf.config.list_physical_devices("CPU")[0], DEVICES)
ONE = Cluster(Member(), tf.distribute.get_strategy(), 1, on_gpu=False)
TWO = Cluster(Member(), tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]), 2, on_gpu=False)


def losses(document, cluster, steps):
    keras.utils.clear_session()
    job = build_job(parse(json.dumps(document)), cluster)
    tell_members_apart(job.model, 0)
    caller = job.caller("train", job.feed)
    caller.begin(0, steps)
    found = []
    for step in range(steps):
        sums, _ = caller.call(step, 1, stop=False)
        found.append(float(sums[-2] / sums[-1]))
    return job, found


def copies(job, ending):
    variables = [v for v in job.model.non_trainable_variables if v.path.endswith(ending)]
    return [[part.numpy().tolist() for part in v.value.values] for v in variables]


with open(sys.argv[1]) as file:
    jobs = json.load(file)
answer = {}
for name, (document, steps) in jobs.items():
    _, one = losses(document, ONE, steps)
    job, two = losses(document, TWO, steps)
    marked = [object()]
    answer[name] = {
        "one": one,
        "two": two,
        "means": copies(job, "moving_mean"),
        "seeds": copies(job, "seed_generator_state"),
        "optimizer sums": getattr(job.optimizer, SUMMING)(marked) is not marked,
    }
results.write(answer)
os._exit(0)
