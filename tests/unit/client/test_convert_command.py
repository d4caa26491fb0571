"""`kubectl trainingjob convert`: files in, TrainingJobs out, the rest on standard error."""

import io
from pathlib import Path

import pytest
import yaml

from trainingjob_client.cli import main

FOLDER = Path(__file__).parent / "tfjobs"


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = main(["convert", *arguments])
    return code, *capsys.readouterr()


def test_a_job_to_standard_output_and_what_is_to_say_to_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, str(FOLDER / "simple.yaml"))
    assert code == 0
    assert yaml.safe_load(out)["kind"] == "TrainingJob"
    line = "TFJob tfjob-simple: changed: spec.tfReplicaSpecs.Worker.restartPolicy: OnFailure: "
    assert any(printed.startswith(line) for printed in err.splitlines())


def test_what_is_the_same_anyway_is_not_mentioned(capsys: pytest.CaptureFixture[str]) -> None:
    assert "cleanPodPolicy: Running" in (FOLDER / "everything.yaml").read_text(encoding="utf-8")
    _, _, err = run(capsys, str(FOLDER / "everything.yaml"))
    assert "cleanPodPolicy" not in err


def test_other_documents_pass_through_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, str(FOLDER / "mnist-with-summaries.yaml"))
    assert code == 0
    assert [document["kind"] for document in yaml.safe_load_all(out)] == ["TrainingJob", "PersistentVolumeClaim"]
    assert "name: tfevent-volume  # both write to it" in out
    assert "PersistentVolumeClaim tfevent-volume: is no TFJob, passed through as it is" in err


def test_from_standard_input_into_a_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO((FOLDER / "simple.yaml").read_text(encoding="utf-8")))
    code, out, _ = run(capsys, "-", "-o", str(tmp_path / "job.yaml"))
    assert (code, out) == (0, "")
    assert yaml.safe_load((tmp_path / "job.yaml").read_text(encoding="utf-8"))["metadata"]["name"] == "tfjob-simple"


def test_the_command_and_the_checkpoints_can_be_said(capsys: pytest.CaptureFixture[str]) -> None:
    _, out, err = run(capsys, str(FOLDER / "keras-multi-worker.yaml"), "--command", "python '/my app.py'")
    assert yaml.safe_load(out)["spec"]["program"]["command"] == ["python", "/my app.py"]
    assert "to do" not in err
    _, out, _ = run(capsys, str(FOLDER / "estimator.yaml"), "--checkpoint", "gs://bucket/run")
    assert yaml.safe_load(out)["spec"]["checkpoint"] == {"path": "gs://bucket/run"}


def test_what_can_not_become_a_job_ends_with_1_and_the_rest_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    both = tmp_path / "both.yaml"
    both.write_text(
        "---\n".join(
            (FOLDER / f"{name}.yaml").read_text(encoding="utf-8") for name in ("parameter-servers", "simple")
        ),
        encoding="utf-8",
    )
    code, out, err = run(capsys, str(both))
    assert code == 1
    assert [document["metadata"]["name"] for document in yaml.safe_load_all(out)] == ["tfjob-simple"]
    assert "TFJob dist-mnist: can't become a TrainingJob" in err


def test_a_list_as_kubectl_get_prints_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    job = yaml.safe_load((FOLDER / "simple.yaml").read_text(encoding="utf-8"))
    listed = tmp_path / "list.yaml"
    listed.write_text(yaml.safe_dump({"apiVersion": "v1", "kind": "List", "items": [job, job]}), encoding="utf-8")
    code, out, _ = run(capsys, str(listed))
    assert code == 0
    assert len(list(yaml.safe_load_all(out))) == 2


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a: [", "line 1"),
        ("kind: Pod\nmetadata: {name: a}\n", "has no TFJob"),
        ("", "has no TFJob"),
        ("\x00", "special characters"),
    ],
)
def test_a_file_that_holds_no_tfjob(text: str, says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "file.yaml"
    file.write_text(text, encoding="utf-8")
    code, out, err = run(capsys, str(file))
    assert (code, out) == (1, "")
    assert says in err


def test_a_file_that_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = run(capsys, "/no/such/file.yaml")
    assert code == 1
    assert "/no/such/file.yaml" in err


def test_commands_explain_themselves(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["convert", "--help"])
    assert stop.value.code == 0
    assert "kubectl trainingjob convert tfjob.yaml" in capsys.readouterr().out
