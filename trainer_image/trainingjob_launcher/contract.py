"""The two contracts between operator and launcher, behind one door that both sides use.

Contract 1, operator to launcher: `Assignment` (modules `assignment`, `policy`, `ledger`).
Contract 2, launcher to operator: `Report` (modules `report`, `report_training`, `report_usage`, `ledger`).

Both carry a version. A reader refuses a version that it does not know, and names the field that is wrong: a launcher
and an operator of different releases may meet in one cluster. Fields that a reader does not know are passed over.
"""

from trainingjob_launcher.assignment import (
    DOWNWARD_FIELDS,
    ENV_PREFIX,
    GENERATION_VARIABLE,
    MAX_SPEC_BYTES,
    MEMBER_VARIABLE,
    RENDEZVOUS_PORT,
    ROLES,
    SECRET_VARIABLES,
    SOCKET_VARIABLE,
    SPEC_VARIABLE,
    STACK_VARIABLE,
    TRAINER_PORT,
    VERSION,
    Assignment,
    member_name,
    read_document,
)
from trainingjob_launcher.fields import MAX_METRICS, METRIC_NAME, ContractError, decode_number, encode_number
from trainingjob_launcher.ledger import LastFailure, Ledger
from trainingjob_launcher.policy import Policy, Rule
from trainingjob_launcher.report import (
    MAX_LOG_LINES,
    MAX_REPORT_BYTES,
    MAX_TERMINATION_BYTES,
    MAX_TEXT,
    STATES,
    Failure,
    Report,
)
from trainingjob_launcher.report_training import Extremes, Training
from trainingjob_launcher.report_usage import GpuUsage, MemberUsage, Telemetry

__all__ = [
    "DOWNWARD_FIELDS",
    "ENV_PREFIX",
    "GENERATION_VARIABLE",
    "MAX_LOG_LINES",
    "MAX_METRICS",
    "MAX_REPORT_BYTES",
    "MAX_SPEC_BYTES",
    "MAX_TERMINATION_BYTES",
    "MAX_TEXT",
    "MEMBER_VARIABLE",
    "METRIC_NAME",
    "RENDEZVOUS_PORT",
    "ROLES",
    "SECRET_VARIABLES",
    "SOCKET_VARIABLE",
    "SPEC_VARIABLE",
    "STACK_VARIABLE",
    "STATES",
    "TRAINER_PORT",
    "VERSION",
    "Assignment",
    "ContractError",
    "Extremes",
    "Failure",
    "GpuUsage",
    "LastFailure",
    "Ledger",
    "MemberUsage",
    "Policy",
    "Report",
    "Rule",
    "Telemetry",
    "Training",
    "decode_number",
    "encode_number",
    "member_name",
    "read_document",
]
