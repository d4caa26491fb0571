"""Property tests here run on machines that are busy with other things: how long an example takes is no verdict.

They try the same examples each time, so that a change that has nothing to do with a property does not fail of it by
chance. `HYPOTHESIS_PROFILE=random` tries others: do it when you touch what they are about.
"""

import os

from hypothesis import HealthCheck, settings

BUSY = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("random", BUSY)
settings.register_profile("same", BUSY, derandomize=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))
