"""What `show`, `watch` and `list` say of a job."""

from typing import Any

import pytest

from tests.unit.client.jobs import FAILURE, NOW, condition, failed, point, running
from trainingjob_client.draw.rows import rows, stream_header, stream_row
from trainingjob_client.draw.show import Paper, live, show
from trainingjob_client.draw.words import age, bar, clean, duration, size, table
from trainingjob_client.live.screen import fit
from trainingjob_client.view.events import read_event
from trainingjob_client.view.job import read_job


def shown(body: dict[str, Any], *events: dict[str, Any], width: int = 100, **paper: Any) -> str:
    """Return what `show` prints."""
    job = read_job(body)
    lines = show(job, job.members, [read_event(event) for event in events], NOW, Paper(width, **paper))
    return "\n".join(line.plain for line in lines)


def test_the_head_says_where_the_training_is() -> None:
    head, progress = shown(running()).splitlines()[:2]
    assert head == "digits   namespace vision   Running   2/2 members   1 restart   for 2m"
    assert progress.endswith(" 66%   epoch 2/3   step 40/60   2.4k ex/s   41s left")
    assert progress.startswith("█" * 20 + "░" * 10)


def test_what_the_program_does_not_say_is_not_there() -> None:
    body = running()
    body["status"]["training"] = {"generation": 1}
    body["status"]["display"] = {"members": "2/2"}
    text = shown(body)
    assert "%" not in text.splitlines()[0]
    assert "Metrics" not in text
    assert "epoch" not in text


def test_metrics_have_their_best_value_and_its_step() -> None:
    text = shown(running())
    assert "  loss       0.25     0.2    at step 30" in text
    assert "  val_loss   NaN" in text


def test_members_with_their_nodes() -> None:
    assert "  worker-0   Running   gpu-2   digits-worker-0-2   2" in shown(running())


def test_usage_of_each_member_and_of_all() -> None:
    text = shown(running())
    assert "  NAME      CPU    MEMORY           GPUS   GPU BUSY   GPU MEMORY" in text
    assert "  chief-0   0.75   614Mi of 1.0Gi   2      72%        8.0Gi" in text
    assert "  all       1.50   1.2Gi            2      72%        8.0Gi" in text


def test_no_gpu_is_no_column() -> None:
    body = running()
    body["status"]["telemetry"] = {"cpuCores": 1.5, "memoryBytes": 2**30}
    assert "GPU" not in shown(body)


def test_goodput_says_what_the_time_went_to() -> None:
    assert "Goodput 75%: 90s training, 20s starting, 10s restarting" in shown(running())


def test_a_failure_comes_before_everything_else_with_the_end_of_the_log() -> None:
    lines = shown(failed()).splitlines()
    assert lines[3] == "Failure: TrainerFailed of worker-0 on gpu-2, exit code 1"
    assert lines[4] == "  ValueError: no such file"
    assert "    Traceback (most recent call last):" in lines
    assert lines.index("Conditions") > 4


def restarted(**gang: Any) -> dict[str, Any]:
    """Return a job whose third generation trains."""
    body = running()
    body["spec"]["failurePolicy"] = {"backoffLimit": 6}
    body["status"] |= {
        "restarts": {"total": 3, "counted": 2, "free": 1},
        "resumedFrom": {"step": 30, "generation": 4},
        "failure": FAILURE | {
            "time": "2026-11-22T12:01:40Z", "generation": 3, "exitCode": 137, "signal": 9, "reason": "TrainerKilled",
        },
        "gang": gang,
    }  # fmt: skip
    return body


def test_a_job_that_came_through_says_how_often_where_and_how_much_more_it_survives() -> None:
    lines = shown(restarted()).splitlines()
    assert lines[0] == (
        "digits   namespace vision   Running   2/2 members   3 restarts, the last at step 30   2 of 6 failures counted"
        "   for 2m"
    )
    assert (
        lines[3]
        == "Last failure (generation 3, 30s ago): TrainerKilled of worker-0 on gpu-2, exit code 137, signal 9 (SIGKILL)"
    )
    assert "    ValueError: no such file" in lines
    brief = [line.plain for line in live(read_job(restarted()), NOW, Paper(80))]
    assert lines[3] in brief
    assert "    ValueError: no such file" not in brief, "there is a plot to look at"


def test_whom_the_gang_misses_and_that_it_stalls() -> None:
    lost = {"incarnation": 1, "member": "worker-0", "since": "2026-11-22T12:02:06Z"}
    missed = [{"name": "worker-1", "since": "2026-11-22T12:02:01Z"}]
    body = restarted(chiefLost=lost, unreachable=missed, stalledSeconds=61)
    body["status"]["conditions"].append(condition("Stalled", "True", "NoProgress"))
    lines = shown(body).splitlines()
    assert lines[0].startswith("digits   namespace vision   Running (Stalled)   2/2 members")
    assert lines[3:6] == [
        "Stalled: no step for 61s",
        "chief-0 has been out of the gang's sight for 4s",
        "worker-1 has been out of the gang's sight for 9s",
    ]
    body["status"]["phase"] = "Succeeded"
    assert "out of the gang's sight" not in shown(body)


@pytest.mark.parametrize(
    ("restarts", "limit", "text"),
    [
        ({}, 6, ""),
        ({"total": 0, "counted": 0}, 6, "0"),
        ({"total": 3, "counted": 0}, 6, "3"),
        ({"total": 3, "counted": 2}, 6, "3 (2/6)"),
        ({"total": 0, "counted": 1}, 0, "0 (1/0)"),
        ({"total": 3, "counted": 2}, None, "3 (2)"),
    ],
)
def test_the_column_of_restarts(restarts: dict[str, int], limit: int | None, text: str) -> None:
    body = running()
    body["status"]["restarts"] = restarts
    body["spec"]["failurePolicy"] = {} if limit is None else {"backoffLimit": limit}
    header, row = rows([read_job(body)], NOW)
    at = header.index("RESTARTS")
    assert row[at : header.index("AGE")].strip() == text


@pytest.mark.parametrize("phase", ["Restarting", "Suspended"])
def test_a_table_says_that_a_job_restarts_or_rests(phase: str) -> None:
    body = restarted()
    body["status"]["phase"] = phase
    _, row = rows([read_job(body)], NOW, wide=True)
    assert f" {phase} " in row
    assert " 30 " in row
    assert "TrainerKilled of worker-0" in row


def test_conditions_with_reasons() -> None:
    body = running()
    body["status"]["conditions"] = [condition("MembersReady", "False", "Unschedulable", "0/3 nodes: too little cpu")]
    assert "  MembersReady   False    Unschedulable   100s    0/3 nodes: too little cpu" in shown(body)


def test_the_newest_events_in_their_order() -> None:
    events = [
        {"reason": f"Reason{at}", "message": "m", "type": "Normal", "lastTimestamp": f"2026-11-22T12:00:{at:02}Z"}
        for at in range(20)
    ]
    text = shown(running(), *events)
    assert "Reason11 " not in text
    assert text.index("Reason12 ") < text.index("Reason19 ")
    assert "   118s ago   Reason12   m" in text


def test_a_plot_of_each_metric_up_to_four() -> None:
    body = running()
    body["status"]["training"]["history"] = [
        point(step, **dict.fromkeys(("loss", "a", "b", "c", "d", "e"), 1.0 * step)) for step in (1, 2, 3)
    ]
    text = shown(body)
    assert text.count(" steps") == 4
    assert "(not plotted: d, e; choose with --metric NAME)" in text


def test_the_plots_that_are_asked_for() -> None:
    text = shown(running(), metrics=("f1", "loss"))
    assert text.count(" steps") == 1
    assert "f1: no values to plot" in text


def test_a_terminal_without_unicode_gets_ascii() -> None:
    assert shown(running(), ascii_only=True).isascii()


def test_what_programs_print_does_not_reach_the_terminal_as_commands() -> None:
    body = failed()
    body["status"]["failure"] |= {"message": "\x1b[2Jboom", "lastLogLines": ["\x1b]0;title\x07red\r"]}
    text = shown(body)
    assert "\x1b" not in text
    assert "\r" not in text
    assert "�[2Jboom" in text


def test_live_says_what_a_waiting_job_waits_for() -> None:
    body = running()
    body["status"]["conditions"] = [condition("MembersReady", "False", "ImagePullBackOff", "no such image")]
    assert "ImagePullBackOff: no such image" in "\n".join(line.plain for line in live(read_job(body), NOW, Paper(80)))


@pytest.mark.parametrize("height", [1, 10, 20, 30, 50, 100])
def test_plots_grow_with_the_screen(height: int) -> None:
    body = running()
    body["status"]["training"]["history"] = [point(s, loss=1.0 * s, f1=1.0 * s, a=1.0 * s) for s in (1, 2, 3)]
    job = read_job(body)
    found = fit(lambda plots, high: live(job, NOW, Paper(80, plots=plots, plot_height=high)), height)
    least = live(job, NOW, Paper(80, plots=1, plot_height=4))
    assert len(found) <= max(height, len(least))
    if height == 100:
        assert len(found) == len(live(job, NOW, Paper(80, plots=4, plot_height=10)))


def test_the_table_has_kubectls_columns() -> None:
    header, row = rows([read_job(running())], NOW, wide=True, namespaces=True)
    assert header.split() == [
        "NAMESPACE", "NAME", "PHASE", "MEMBERS", "PROGRESS", "EPOCH", "LOSS", "METRIC", "SPEED", "ETA", "RESTARTS",
        "REASON", "NODE", "GENERATION", "GOODPUT", "RESUMED", "FAILURE", "AGE",
    ]  # fmt: skip
    for text in ("vision", "digits", "66%", "2/3", "f1=0.9", "2.4k ex/s", "gpu-1 (+1)", "75%", "2m10s"):
        assert text in row
    assert header.index("PROGRESS") == row.index("66%")


def test_rows_that_come_one_by_one_stand_under_their_header() -> None:
    header, row = stream_header(namespaces=True), stream_row(read_job(running()), NOW, namespaces=True)
    for name, text in (
        ("NAMESPACE", "vision"),
        ("NAME", "digits"),
        ("PROGRESS", "66%"),
        ("SPEED", "2.4k"),
        ("AGE", "2m10s"),
    ):
        assert header.split(name)[0] is not None
        assert row.index(text) == header.rindex(f"{name} ") if name != "AGE" else row.endswith(text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-5, "0s"), (0.4, "0s"), (119, "119s"), (120, "2m"), (130, "2m10s"), (600, "10m"), (3700, "61m"), (12000, "3h20m"),
     (86400 * 1.5, "1d12h"), (86400 * 40, "40d")],
)  # fmt: skip
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_nobody_knows_how_old() -> None:
    assert age(None, NOW) == ""


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0"), (900, "900"), (1024, "1.0Ki"), (512 * 2**20, "512Mi"), (3.2 * 2**30, "3.2Gi"), (2**60, "1024Pi")],
)
def test_sizes(count: float, text: str) -> None:
    assert size(count) == text


def test_a_bar_is_full_only_at_the_end() -> None:
    assert bar(99.9, 10) == "█" * 9 + "░"
    assert bar(100, 10) == "█" * 10
    assert bar(250, 4, ascii_only=True) == "####"
    assert bar(-3, 4, ascii_only=True) == "...."


def test_tables_are_aligned() -> None:
    assert table(("A", "BB"), [("long", ""), ("x", "y")]) == ["A      BB", "long", "x      y"]


def test_clean_keeps_what_people_write() -> None:
    assert clean("Größe: 3\t✓ 日本") == "Größe: 3\t✓ 日本"
