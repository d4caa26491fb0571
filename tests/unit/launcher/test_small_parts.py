"""TF_CONFIG, thread counts, the program's files, the trainer's environment, the termination message, the messages."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.launcher.processes import assignment
from trainingjob_launcher.contract import MAX_METRICS, MAX_TERMINATION_BYTES, ContractError, Failure, Report, Training
from trainingjob_launcher.messages import End, Hello, MessageError, TrainerExit, metrics
from trainingjob_launcher.program import ProgramError, place
from trainingjob_launcher.progress import with_metrics
from trainingjob_launcher.python_path import is_hooked, packages_root, python_path
from trainingjob_launcher.rendezvous import join_address
from trainingjob_launcher.settings import Timings
from trainingjob_launcher.shell import accelerators, trainer_environment
from trainingjob_launcher.termination import write_termination_message
from trainingjob_launcher.tf_config import tf_config
from trainingjob_launcher.threads import thread_count, thread_variables
from trainingjob_launcher.wire import MAX_LINE, Session

# --- TF_CONFIG ---

GANG = [("worker-2", "c:1"), ("chief-0", "a:1"), ("worker-0", "b:1")]


def test_workers_get_contiguous_indices_in_their_own_order() -> None:
    cluster = {"chief": ["a:1"], "worker": ["b:1", "c:1"]}
    assert json.loads(tf_config("chief-0", GANG) or "") == {"cluster": cluster, "task": {"type": "chief", "index": 0}}
    assert json.loads(tf_config("worker-2", GANG) or "")["task"] == {"type": "worker", "index": 1}
    assert json.loads(tf_config("worker-0", GANG) or "")["cluster"] == cluster


def test_workers_are_ordered_by_number_and_not_by_letter() -> None:
    gang = [("chief-0", "a:1"), *((f"worker-{n}", f"w{n}:1") for n in (10, 9, 2))]
    assert json.loads(tf_config("worker-10", gang) or "")["cluster"]["worker"] == ["w2:1", "w9:1", "w10:1"]


def test_a_chief_alone_has_none() -> None:
    assert tf_config("chief-0", [("chief-0", "a:1")]) is None


def test_the_evaluator_knows_the_cluster_and_is_not_in_it() -> None:
    config = json.loads(tf_config("evaluator-0", GANG) or "")
    assert config["cluster"] == json.loads(tf_config("chief-0", GANG) or "")["cluster"]
    assert config["task"] == {"type": "evaluator", "index": 0}
    alone = json.loads(tf_config("evaluator-0", [("chief-0", "a:1")]) or "")
    assert alone["cluster"] == {"chief": ["a:1"]}


@pytest.mark.parametrize(
    "gang", [[], [("worker-0", "a:1")], [*GANG, ("worker-0", "d:1")], [*GANG, ("evaluator-0", "d:1")]]
)
def test_what_is_no_gang_is_refused(gang: list[tuple[str, str]]) -> None:
    with pytest.raises(ValueError):
        tf_config("worker-0", gang)
    with pytest.raises(ValueError, match="worker-7"):
        tf_config("worker-7", GANG)


# --- Threads ---


@pytest.mark.parametrize(
    ("limit", "cores", "count"), [(None, 8, 8), (0.3, 8, 1), (1.0, 8, 1), (1.5, 8, 2), (64.0, 8, 8)]
)
def test_threads_follow_the_quota(limit: float | None, cores: int, count: int) -> None:
    assert thread_count(limit, cores) == count


def test_what_the_user_has_set_stays() -> None:
    assert thread_variables({"OMP_NUM_THREADS": "7"}, 1.0, 8) == {
        "TF_NUM_INTRAOP_THREADS": "1",
        "TF_NUM_INTEROP_THREADS": "2",
    }


# --- The trainer's environment ---


def test_the_trainer_gets_its_cluster_and_no_secret() -> None:
    env = {"TRAININGJOB_KEY": "ab" * 32, "PATH": "/bin", "TF_CONFIG": "old", "LANG": "C"}
    out = trainer_environment(env, assignment("worker", 0, 1, 7070), GANG, "/tmp/socket")
    assert "TRAININGJOB_KEY" not in out
    assert "ab" * 32 not in str(out)
    assert (out["PATH"], out["LANG"], out["TRAININGJOB_SOCKET"]) == ("/bin", "C", "/tmp/socket")
    assert json.loads(out["TF_CONFIG"])["task"]["type"] == "worker"
    assert out["PYTHONUNBUFFERED"] == "1"
    assert out["TRAININGJOB_MEMBER"] == "worker-0"
    alone = trainer_environment(env, assignment("chief", 0, 0, 7070), GANG[1:2], "/tmp/socket")
    assert "TF_CONFIG" not in alone


def test_the_document_goes_on_to_the_trainer_as_it_is() -> None:
    text = '{"version": 1,  "stopWhen": {"metric": "val_loss"}}'
    given = assignment("chief", 0, 0, 7070, spec=text)
    assert trainer_environment(given.to_env(), given, GANG[1:2], "/tmp/socket")["TRAININGJOB_SPEC"] == text


# --- PYTHONPATH ---


def test_the_hooks_come_first_and_our_packages_last() -> None:
    root = packages_root()
    hooks = f"{root}/trainingjob_hooks/site"
    assert os.path.isfile(f"{hooks}/sitecustomize.py")
    assert python_path("", root, hooked=True) == f"{hooks}:{root}"
    assert python_path("/a:/b", root, hooked=True) == f"{hooks}:/a:/b:{root}"
    assert python_path("/a", root, hooked=False) == f"/a:{root}"


def test_what_is_in_the_path_already_is_not_added_again() -> None:
    root = packages_root()
    once = python_path(f"{root}:/a", root, hooked=True)
    assert once == f"{root}/trainingjob_hooks/site:{root}:/a"
    assert python_path(once, root, hooked=True) == once


def test_without_hooks_beside_the_launcher_there_are_none(tmp_path: Path) -> None:
    assert python_path("/a", str(tmp_path), hooked=True) == f"/a:{tmp_path}"


def test_hooks_are_for_the_users_programs() -> None:
    assert is_hooked({}) is True
    assert is_hooked({"version": 1, "checkpoint": {"path": "/c"}}) is True
    assert is_hooked({"version": 1, "training": {}}) is False


# --- The evaluator's numbers ---


def test_the_evaluators_numbers_are_added_and_win() -> None:
    own = Training(step=7, metrics={"loss": 0.5, "val_loss": 0.9})
    merged = with_metrics(own, {"val_loss": 0.4, "val_f1": 0.8})
    assert merged == Training(step=7, metrics={"loss": 0.5, "val_loss": 0.4, "val_f1": 0.8})
    assert with_metrics(own, {}) is own


def test_the_limit_on_metrics_holds_for_both_together() -> None:
    own = Training(metrics={f"m{number}": 0.0 for number in range(MAX_METRICS)})
    merged = with_metrics(own, {"val_loss": 0.4})
    assert len(merged.metrics) == MAX_METRICS
    assert merged.metrics["val_loss"] == 0.4


def test_only_validation_metrics_are_taken_from_a_frame() -> None:
    frame = {"metrics": {"val_loss": 0.25, "loss": 1.0, "val_worst": "NaN", "val bad": 1}}
    taken = metrics(frame, "val_")
    assert list(taken) == ["val_loss", "val_worst"]
    assert taken["val_loss"] == 0.25


@pytest.mark.parametrize(
    "value", [None, [], {"val_loss": "x"}, {"val_loss": None}, {f"val_{n}": 1 for n in range(65)}]
)
def test_numbers_that_make_no_sense_are_a_fault_of_the_peer(value: object) -> None:
    with pytest.raises(MessageError):
        metrics({"metrics": value}, "val_")


@pytest.mark.parametrize(("visible", "number"), [("GPU-1,GPU-2", 2), ("0", 1), ("void", 0), ("none", 0)])
def test_accelerators_are_counted(visible: str, number: int) -> None:
    assert accelerators({"NVIDIA_VISIBLE_DEVICES": visible}) == number


@pytest.mark.parametrize(
    ("host", "address"),
    [("10.0.0.1", "10.0.0.1:2222"), ("fd00::1", "[fd00::1]:2222"), ("::ffff:10.0.0.1", "10.0.0.1:2222")],
)
def test_addresses_are_written_as_tensorflow_reads_them(host: str, address: str) -> None:
    assert join_address(host, 2222) == address


# --- The program ---


def test_inline_files_are_written_below_the_work_dir(tmp_path: Path) -> None:
    work = tmp_path / "work"
    place(str(work), {"main.py": "print('\u00e9')\n", "lib/model.py": ""})
    assert (work / "main.py").read_text(encoding="utf-8") == "print('\u00e9')\n"
    assert (work / "lib" / "model.py").exists()


@pytest.mark.parametrize("name", ["../x", "/etc/x", "a/../../x", "", ".", "lib/", "a\x00b", ".."])
def test_names_that_lead_elsewhere_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ProgramError, match="relative path"):
        place(str(tmp_path / "work"), {name: "x"})
    assert not (tmp_path / "x").exists()


def test_a_mounted_configmap_is_copied_without_the_kubelets_links(tmp_path: Path) -> None:
    source, work = tmp_path / "source", tmp_path / "work"
    data = source / "..2026_11_22"
    data.mkdir(parents=True)
    (data / "main.py").write_text("print(1)")
    (source / "..data").symlink_to("..2026_11_22")
    (source / "main.py").symlink_to("..data/main.py")
    place(str(work), {}, str(source))
    assert os.listdir(work) == ["main.py"]
    assert not (work / "main.py").is_symlink()
    assert (work / "main.py").read_text() == "print(1)"


def test_what_can_not_be_written_or_read_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ProgramError, match="can't be written"):
        place(str(tmp_path / "file" / "work"), {"main.py": ""})
    with pytest.raises(ProgramError, match="TRAININGJOB_WORK_DIR"):
        place("", {"main.py": ""})
    with pytest.raises(ProgramError, match="not mounted"):
        place(str(tmp_path / "work"), {}, str(tmp_path / "nowhere"))
    place("", {})


# --- The termination message ---

FAILURE = Failure("worker-1", "TrainerFailed", "ValueError: bad", 1, None, 1, ("x" * 400,) * 50)


def test_the_termination_message_is_the_report_cut_to_what_the_kubelet_keeps(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text("old" * 5000)
    report = Report("chief-0", 1, 1, 9, "Failed", True, None, FAILURE)
    write_termination_message(report, {"TRAININGJOB_TERMINATION_PATH": str(path)})
    data = path.read_bytes()
    assert len(data) <= MAX_TERMINATION_BYTES
    read = Report.decode(data)
    assert read.failure is not None
    assert read.failure.message == "ValueError: bad"


def test_a_message_that_can_not_be_written_is_said_and_no_more(capfd: pytest.CaptureFixture[str]) -> None:
    report = Report("chief-0", 1, 1, 9, "Failed")
    write_termination_message(report, {"TRAININGJOB_TERMINATION_PATH": "/nowhere/log"})
    assert capfd.readouterr().err.startswith("trainingjob: the termination message could not be written")


# --- Settings and messages ---


def test_times_can_be_set_and_nonsense_is_refused() -> None:
    assert Timings.from_env({"TRAININGJOB_GRACE_SECONDS": "3.5"}) == Timings(grace=3.5)
    for text in ("x", "0", "-1", "nan", "inf"):
        with pytest.raises(ContractError, match="TRAININGJOB_GRACE_SECONDS"):
            Timings.from_env({"TRAININGJOB_GRACE_SECONDS": text})


exits = st.builds(
    TrainerExit,
    st.integers(0, 255),
    st.none() | st.integers(1, 64),
    st.just("TrainerFailed"),
    st.text(max_size=500),
    st.lists(st.text(max_size=500), max_size=50).map(tuple),
)


@given(exits)
def test_messages_are_read_as_they_were_written_and_fit_a_frame(end: TrainerExit) -> None:
    read = TrainerExit.from_json(json.loads(json.dumps(end.to_json())))
    assert (read.code, read.signal, read.message) == (end.code, end.signal, end.message)
    assert read.log_lines == end.log_lines[len(end.log_lines) - len(read.log_lines) :]
    failure = Failure("worker-1", "TrainerFailed", end.message, end.code, end.signal, 3, read.log_lines)
    assert End.from_json(json.loads(json.dumps(End("Failed", failure).to_json()))) == End("Failed", failure)


@pytest.mark.parametrize("character", ["x", "\u20ac", "\x00", "\U0001f600", '"'])
def test_the_longest_log_lines_fit_a_frame_whatever_they_hold(character: str) -> None:
    end = TrainerExit(1, None, "TrainerFailed", character * 5000, (character * 5000,) * 50)
    session = Session(b"k" * 32, ("a", "b"), "worker-0", b"<")
    assert len(session.seal({"t": "exit", "generation": 1, "end": end.to_json()})) <= MAX_LINE
    assert len(end.to_json()["log_lines"]) >= 8


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@given(
    st.dictionaries(
        st.sampled_from(["member", "incarnation", "address", "code", "log_lines", "failure"]), json_values
    )
)
def test_messages_that_make_no_sense_are_refused(value: dict[str, object]) -> None:
    for kind in (Hello, TrainerExit, End):
        try:
            kind.from_json(value)
        except MessageError:
            continue
        assert kind is TrainerExit  # a code alone is a message


# --- What the launcher costs ---


def test_the_launcher_imports_what_it_needs_and_no_more() -> None:
    code = "import sys, trainingjob_launcher.launcher; print([m for m in sys.argv[1:] if m in sys.modules])"
    heavy = ["http.client", "email", "multiprocessing", "numpy", "tensorflow", "ctypes", "xml"]
    env = {"PYTHONPATH": str(Path(__file__).parents[3] / "trainer_image")}
    done = subprocess.run([sys.executable, "-c", code, *heavy], env=env, capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stdout) == (0, "[]\n")
