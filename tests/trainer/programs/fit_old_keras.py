"""An ordinary fit, where the table of tested Keras versions does not know the one that is installed."""

import results

try:
    from trainingjob_hooks.keras3 import versions

    versions.TESTED = ("3.0",)
except ImportError:
    pass

from fit_basics import data, make_model

model = make_model()
model.fit(*data(20), verbose=0)
results.write({"weights": [w.tolist() for w in model.get_weights()]})
