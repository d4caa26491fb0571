"""The optimizer, the losses and two metrics on shares of any size.

A program that knows nothing of replicas computes losses and gradients of its share as if it were everything; here the
gradients become those of the global batch: their mean, weighted with the shares. It is done at the door of
`Optimizer.apply`, before clipping, accumulation and the check for overflows, so these act on the gradient of the
global batch and decide the same on every member.
"""

from __future__ import annotations

import functools
import threading
from typing import Any, Callable, List

from trainingjob_hooks.keras3 import share, strategy

_thread = threading.local()
#: Calls of `apply` under way with reduced gradients, over all threads: an optimizer may go on in another.
_reduced = 0


def install() -> None:
    """Mend optimizers, losses and metrics of the imported Keras 3."""
    from keras.src.backend.tensorflow.optimizer import TFOptimizer
    from keras.src.losses import loss
    from keras.src.metrics import reduction_metrics
    from keras.src.optimizers.base_optimizer import BaseOptimizer
    from keras.src.optimizers.loss_scale_optimizer import LossScaleOptimizer

    for cls in (BaseOptimizer, LossScaleOptimizer):
        cls.apply = _reduce_first(cls.apply)
    LossScaleOptimizer._tf_apply = _apply_here(LossScaleOptimizer._tf_apply)
    TFOptimizer._all_reduce_sum_gradients = _unless_reduced(TFOptimizer._all_reduce_sum_gradients)
    TFOptimizer.__init__ = strategy.before(TFOptimizer.__init__)
    _mend_losses(loss)
    for cls in (reduction_metrics.Mean, reduction_metrics.Sum):
        cls.update_state = _weigh_scalars(cls.update_state)
    _keep_metrics_local()


def _reduce_first(apply: Any) -> Any:
    @functools.wraps(apply)
    def mended(self: Any, grads: Any, trainable_variables: Any = None) -> Any:
        global _reduced
        import tensorflow as tf

        mine = share.current()
        if mine is None or getattr(_thread, "applies", False):
            _check_strategy()
            return apply(self, grads, trainable_variables)
        grads = _all_reduce(list(grads), mine)
        _thread.applies = True
        _reduced += 1
        try:
            if len(tf.distribute.get_strategy().extended.worker_devices) == 1:
                return _update_here(lambda: apply(self, grads, trainable_variables))
            return apply(self, grads, trainable_variables)
        finally:
            _reduced -= 1
            _thread.applies = False

    return mended


def _update_here(apply: Callable[[], Any]) -> Any:
    """Run `apply` as an update of this process's copy of the variables, which nobody else in the process has.

    So nothing in it crosses replicas any more, and it may stand in a branch: gradient accumulation, loss scales.
    """
    import tensorflow as tf
    from tensorflow.python.distribute import distribute_lib

    def update(strategy: Any) -> Any:
        with distribute_lib.UpdateContext(0):
            strategy.extended._use_merge_call = lambda: False
            try:
                return apply()
            finally:
                del strategy.extended._use_merge_call

    return tf.distribute.get_replica_context().merge_call(update)


def _check_strategy() -> None:
    import tensorflow as tf

    if strategy.supplied is not None and _reduced == 0 and tf.distribute.get_replica_context() is None:
        raise RuntimeError(strategy.NO_STRATEGY)


def _all_reduce(grads: List[Any], mine: share.Share) -> List[Any]:
    """Return the gradients of the global batch; None where there is no gradient."""
    import tensorflow as tf

    def weighed(grad: Any) -> Any:
        if not mine.averages:
            return grad
        if isinstance(grad, tf.IndexedSlices):
            return tf.IndexedSlices(grad.values * tf.cast(mine.weight, grad.dtype), grad.indices, grad.dense_shape)
        grad = tf.convert_to_tensor(grad)
        return grad * tf.cast(mine.weight, grad.dtype)

    there = [i for i, grad in enumerate(grads) if grad is not None]
    if there:
        context = tf.distribute.get_replica_context()
        summed = context.all_reduce(tf.distribute.ReduceOp.SUM, [weighed(grads[i]) for i in there])
        for i, grad in zip(there, summed):
            grads[i] = grad
    return grads


def _unless_reduced(all_reduce: Any) -> Any:
    @functools.wraps(all_reduce)
    def mended(self: Any, grads_and_vars: Any) -> Any:
        return list(grads_and_vars) if _reduced else all_reduce(self, grads_and_vars)

    return mended


def _apply_here(tf_apply: Any) -> Any:
    """A loss scale's check for overflows sees the gradient of the global batch, and can decide where it is."""

    @functools.wraps(tf_apply)
    def mended(self: Any, grads: Any, trainable_variables: Any = None) -> Any:
        import tensorflow as tf

        if _reduced and tf.distribute.in_cross_replica_context():
            return self._common_apply(grads, trainable_variables)
        return tf_apply(self, grads, trainable_variables)

    return mended


def _mend_losses(module: Any) -> None:
    """Let losses of a share add up, with the weights, to the loss of the global batch."""
    import tensorflow as tf

    scale, unscale = module.scale_loss_for_distribution, module.unscale_loss_for_distribution
    reduce_values, apply_mask = module.reduce_values, module.apply_mask

    def scaled(value: Any) -> Any:
        mine = share.current()
        if mine is None:
            return scale(value)
        return value if mine.averages else value * tf.cast(mine.weight, value.dtype)

    def unscaled(value: Any) -> Any:
        mine = share.current()
        if mine is None:
            return unscale(value)
        return value if mine.averages else tf.math.divide_no_nan(value, tf.cast(mine.weight, value.dtype))

    def reduced(values: Any, sample_weight: Any = None, reduction: Any = "sum_over_batch_size") -> Any:
        mine = share.current()
        by_weight = reduction == "mean_with_sample_weight" and sample_weight is not None
        if mine is None or not (by_weight or reduction == "sum") or tuple(values.shape) == ():
            return reduce_values(values, sample_weight, reduction)
        loss = tf.reduce_sum(values)
        if by_weight:
            loss = tf.math.divide_no_nan(loss, _sum_over_replicas(tf.cast(tf.reduce_sum(sample_weight), loss.dtype)))
        # A sum over all replicas is asked for, and a weighted mean is what becomes of it.
        return tf.math.divide_no_nan(loss, tf.cast(mine.weight, loss.dtype)) if mine.averages else loss

    def masked(sample_weight: Any, mask: Any, dtype: Any, reduction: Any) -> Any:
        mine = share.current()
        result = apply_mask(sample_weight, mask, dtype=dtype, reduction=reduction)
        if mine is None or mask is None or reduction not in ("mean", "sum_over_batch_size"):
            return result
        # Keras divides by the unmasked values of the share; those of the global batch count.
        valid = tf.reduce_sum(tf.cast(mask, dtype))
        fair = _sum_over_replicas(valid) * tf.cast(mine.weight, valid.dtype)
        return result * tf.cast(tf.math.divide_no_nan(valid, fair), result.dtype)

    module.scale_loss_for_distribution, module.unscale_loss_for_distribution = scaled, unscaled
    module.reduce_values, module.apply_mask = reduced, masked


def _sum_over_replicas(value: Any) -> Any:
    import tensorflow as tf

    mine = share.current()
    assert mine is not None
    # A share of weight 0 repeats an example of another one.
    value = tf.where(mine.weight > 0, tf.stop_gradient(value), tf.zeros_like(value))
    return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, value)


def _weigh_scalars(update_state: Any) -> Any:
    """A scalar without a weight stands for the batch; on a share it weighs as the share, so a step counts once."""

    @functools.wraps(update_state)
    def mended(self: Any, values: Any, sample_weight: Any = None) -> Any:
        mine = share.current()
        if mine is not None and mine.averages and sample_weight is None and len(getattr(values, "shape", ())) == 0:
            sample_weight = mine.weight
        return update_state(self, values, sample_weight)

    return mended


def _keep_metrics_local() -> None:
    """Make the variables of metrics ordinary ones where the strategy is ours, with one replica in this process.

    As distributed variables they can't be updated outside of a replica, and reading one is a collective, which a
    program that knows nothing of members would start on some and not on others.
    """
    from keras.src.backend.tensorflow.core import Variable

    initialize = Variable._initialize

    @functools.wraps(initialize)
    def mended(self: Any, value: Any) -> None:
        import tensorflow as tf
        from tensorflow.python.ops.resource_variable_ops import ResourceVariable

        ours = strategy.supplied
        local = ours is not None and len(ours.extended.worker_devices) == 1
        if local and self.synchronization == "on_read" and not isinstance(value, tf.Variable):
            value = ResourceVariable(value, dtype=self._dtype, trainable=False, name=self.name)
        initialize(self, value)

    Variable._initialize = strategy.before(mended)
