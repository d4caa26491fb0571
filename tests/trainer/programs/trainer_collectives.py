"""Counts the collective operations in the compiled training function: those of one step, and those of a call."""

import os

import results
import tensorflow as tf

from trainingjob_trainer.batches import Batches
from trainingjob_trainer.cluster import connect, member_of
from trainingjob_trainer.document import parse
from trainingjob_trainer.job import build_job

document = parse(os.environ["TRAININGJOB_SPEC"])
job = build_job(document, connect(member_of(os.environ), document.communication))
function = job.steps.function("train", Batches(job.feed, in_graph=True))
concrete = function.get_concrete_function(None, tf.TensorSpec([2], tf.int64), tf.TensorSpec([2], tf.float64))
graph = concrete.graph.as_graph_def()
call = sum(node.op.startswith("Collective") for node in graph.node)
step = sum(node.op.startswith("Collective") for each in graph.library.function for node in each.node_def)
job.steps.wait_for_all()
results.write({"step": step, "call": call})
os._exit(0)
