"""What the client knows of the resource: the names that its YAML has. The operator's code is no part of it."""

from typing import Final

GROUP: Final = "trainingjob.dev"
VERSION: Final = "v1alpha1"
PLURAL: Final = "trainingjobs"
KIND: Final = "TrainingJob"
API_VERSION: Final = f"{GROUP}/{VERSION}"

LABEL_JOB: Final = f"{GROUP}/job"
LABEL_ROLE: Final = f"{GROUP}/role"
LABEL_INDEX: Final = f"{GROUP}/index"
LABEL_INCARNATION: Final = f"{GROUP}/incarnation"

CHIEF: Final = "chief-0"
EVALUATOR: Final = "evaluator-0"
#: The container of a member's pod that trains.
CONTAINER: Final = "trainer"
#: Where members see `spec.checkpoint.volume`.
CHECKPOINT_DIR: Final = "/checkpoints"
#: Event files are in this folder of the checkpoint folder, in one of the job's name.
TENSORBOARD_DIR: Final = "tensorboard"

SUSPENDED: Final = "Suspended"
SUCCEEDED: Final = "Succeeded"
FAILED: Final = "Failed"
INVALID: Final = "Invalid"
"""Phases that a job does not leave by itself."""
