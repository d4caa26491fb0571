"""Pure policies: from a job, its pods and the time to a plan. No I/O, no clock, no randomness, no kopf."""
