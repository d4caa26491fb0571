"""The contract with the launcher: one module in the launcher's package defines it, this is the operator's door."""

from trainingjob_launcher.contract import (
    DOWNWARD_FIELDS,
    MAX_REPORT_BYTES,
    MAX_SPEC_BYTES,
    RENDEZVOUS_PORT,
    TRAINER_PORT,
    VERSION,
    Assignment,
    ContractError,
    Failure,
    Report,
    Training,
    encode_number,
    member_name,
)

__all__ = [
    "DOWNWARD_FIELDS",
    "MAX_REPORT_BYTES",
    "MAX_SPEC_BYTES",
    "RENDEZVOUS_PORT",
    "TRAINER_PORT",
    "VERSION",
    "Assignment",
    "ContractError",
    "Failure",
    "Report",
    "Training",
    "encode_number",
    "member_name",
]
