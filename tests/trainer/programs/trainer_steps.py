"""Takes steps of a declarative job one by one, and writes every loss and the sum of every weight.

trainer_steps.py STEPS [STEPS_PER_CALL]
"""

import os
import sys

import results

from trainingjob_trainer.cluster import connect, member_of
from trainingjob_trainer.document import parse
from trainingjob_trainer.evaluate import results as metrics_of
from trainingjob_trainer.job import build_job
from trainingjob_trainer.randomness import tell_members_apart

total, per_call = int(sys.argv[1]), int(sys.argv[2])
document = parse(os.environ["TRAININGJOB_SPEC"])
cluster = connect(member_of(os.environ), document.communication)
job = build_job(document, cluster)
tell_members_apart(job.model, cluster.first_replica)
caller = job.caller("train", job.feed)
caller.begin(0, total)
losses, last = [], {}
for step in range(0, total, per_call):
    sums, _ = caller.call(step, per_call, stop=False)
    last = metrics_of(job, sums)
    losses.append(last["loss"])
weights = [float(abs(value.numpy()).sum()) for value in job.model.trainable_variables]
states = [float(abs(value.numpy()).sum()) for value in job.model.non_trainable_variables if value.dtype == "float32"]
job.steps.wait_for_all()
results.write({"losses": losses, "last": last, "weights": weights, "states": states, "replicas": cluster.replicas})
os._exit(0)
