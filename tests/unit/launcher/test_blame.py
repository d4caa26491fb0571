"""What counts as the echo of another's end, and what is said about an exit."""

from __future__ import annotations

import pytest

from tests.unit.launcher.machines import BUG, ECHO, NOISE, TRACEBACK
from trainingjob_launcher.blame import exception_line, failure_of, is_collateral, message_of
from trainingjob_launcher.messages import TrainerExit

TF = "tensorflow.python.framework.errors_impl"


@pytest.mark.parametrize(
    "line",
    [
        f"{TF}.UnavailableError: Connection reset by peer",
        f"{TF}.AbortedError: unexpectedly tried to connect with a different incarnation",
        f"{TF}.DeadlineExceededError: Deadline Exceeded. RPC: /tensorflow.CoordinationService/Heartbeat",
        f"{TF}.CancelledError: RecvAsync is cancelled.",
        f"{TF}.InternalError: Collective ops is aborted by: Socket closed",
        "RuntimeError: step failed: The following tasks are unhealthy (stopped sending heartbeats)",
        "trainingjob._checkpoint_restore.ChiefError: checkpoint: the chief cannot use /checkpoints: OSError: no space",
    ],
)
def test_errors_that_speak_of_peers_are_echoes(line: str) -> None:
    assert is_collateral(TrainerExit(1, log_lines=(*TRACEBACK[:-1], line)))


@pytest.mark.parametrize(
    "line",
    [
        "ValueError: bad shape",
        f"{TF}.InvalidArgumentError: Incompatible shapes: [32,10] vs. [32,9]",
        f"{TF}.ResourceExhaustedError: OOM when allocating tensor",
        "ConnectionRefusedError: [Errno 111] Connection refused",
        "KeyboardInterrupt",
    ],
)
def test_errors_of_the_program_are_not(line: str) -> None:
    assert not is_collateral(TrainerExit(1, log_lines=(*TRACEBACK[:-1], line)))


def test_what_the_coordination_service_says_after_a_bug_does_not_excuse_it() -> None:
    lines = (*TRACEBACK, "E coordination_service_agent.cc:1 Connection reset by peer: UnavailableError")
    assert not is_collateral(TrainerExit(1, log_lines=lines))


def test_the_last_of_several_chained_exceptions_counts() -> None:
    chained = (*TRACEBACK, "", "During handling of the above exception, another exception occurred:", "", *ECHO)
    assert is_collateral(TrainerExit(1, log_lines=chained))
    assert not is_collateral(TrainerExit(1, log_lines=(*ECHO, "", *TRACEBACK)))


def test_a_traceback_whose_head_is_lost_is_read_by_its_last_line() -> None:
    assert exception_line(["    foo()", "ValueError: bad", "more text"]) == "ValueError: bad"


@pytest.mark.parametrize("number", [9, 11, 7, 4, 8])
def test_nobody_else_causes_these_signals(number: int) -> None:
    assert not is_collateral(TrainerExit(128 + number, number, log_lines=ECHO))


def test_success_and_silence_are_no_echo() -> None:
    assert not is_collateral(TrainerExit(0, log_lines=ECHO))
    assert not is_collateral(TrainerExit(1))


def test_a_failure_says_what_happened_in_one_line() -> None:
    assert failure_of("worker-1", 3, BUG).message == "ValueError: bad shape"
    assert failure_of("worker-1", 3, NOISE).message.startswith(f"{TF}.UnavailableError")
    assert failure_of("worker-1", 3, TrainerExit(137, 9)).reason == "TrainerKilled"
    assert "SIGKILL" in message_of(137, 9, ())
    assert message_of(5, None, ("hello", "")) == "the trainer ended with exit code 5: hello"
    assert message_of(5, None, ()) == "the trainer ended with exit code 5"
    assert "signal 64" in message_of(192, 64, ()) or "SIGRTMAX" in message_of(192, 64, ())


def test_what_tensorflow_says_some_lines_further_down_is_found() -> None:
    lines = (
        "Traceback (most recent call last):",
        '  File "/app/main.py", line 94, in <module>',
        f"{TF}.UnavailableError: Graph execution error:",
        "",
        "Detected at node while/adam/CollectiveReduceV2 defined at (most recent call last):",
        '  File "/app/main.py", line 94, in <module>',
        "",
        "Collective ops is aborted by: Socket closed",
        "The error could be from a previous operation. Restart your program to reset.",
        "\t [[{{node while/adam/CollectiveReduceV2}}]] [Op:__inference_train_557]",
    )
    end = TrainerExit(1, log_lines=lines)
    assert is_collateral(end)
    assert failure_of("chief-0", 1, end).message == (
        f"{TF}.UnavailableError: Graph execution error: Collective ops is aborted by: Socket closed"
    )


def test_a_graph_error_of_the_program_is_its_own() -> None:
    lines = (*TRACEBACK[:-1], f"{TF}.InvalidArgumentError: Graph execution error:", "", "Incompatible shapes: [32]")
    assert not is_collateral(TrainerExit(1, log_lines=lines))
    assert message_of(1, None, lines).endswith("Graph execution error: Incompatible shapes: [32]")


@pytest.mark.parametrize(
    "line",
    [
        "I0000 00:00:1795394280.123456     123 agent.cc:245] Coordination service agent has connected",
        "2026-11-23 00:58:01.123456: I tensorflow/core/distributed_runtime/coordination service: Barrier has passed",
        "WARNING: All log messages before absl::InitializeLog() is called are written to STDERR",
        "/job:worker/replica:0/task:0",
    ],
)
def test_what_tensorflow_tells_when_all_is_well_is_neither_an_echo_nor_a_cause(line: str) -> None:
    end = TrainerExit(3, log_lines=("step 7", line))
    assert not is_collateral(end)
    assert message_of(3, None, end.log_lines) == "the trainer ended with exit code 3: step 7"
