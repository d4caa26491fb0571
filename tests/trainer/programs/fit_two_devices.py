"""One process with two replicas, as a member with two GPUs has them: played by two logical CPUs."""

import os

import results
import tensorflow as tf

if os.environ.get("TRAININGJOB_SPEC"):
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    from keras.src.backend.tensorflow import trainer
    from tensorflow.python.distribute.collective_all_reduce_strategy import CollectiveAllReduceStrategy

    from trainingjob_hooks.keras3 import mend, strategy

    mend.spread(trainer.TensorFlowTrainer)
    # Where there are two GPUs, they are found.
    strategy.enter(lambda: CollectiveAllReduceStrategy._from_local_devices(("/device:CPU:0", "/device:CPU:1")))

import fit_basics
import fit_inputs
import fit_models

if __name__ == "__main__":
    found = {}
    for module, names in (
        (fit_basics, ["numpy_even", "numpy_uneven", "evaluate_and_predict", "tf_dataset"]),
        (fit_inputs, ["sample_weight", "generator", "dictionaries"]),
        (fit_models, ["custom_step", "clipping", "many_metrics", "masks"]),
    ):
        for name in names:
            found[name] = module.CASES[name]()
            results.write(found)
