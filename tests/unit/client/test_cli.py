"""The command line itself: what it imports, what it understands, how it ends. No cluster."""

import argparse
import subprocess
import sys
from pathlib import Path

import pytest

from trainingjob_client import cli, completion
from trainingjob_client.cluster.jobs import not_found
from trainingjob_client.cluster.options import add_cluster_arguments, cluster_options
from trainingjob_client.draw.figure import check, panels, write
from trainingjob_client.errors import ClientError, Exit
from trainingjob_client.tensorboard.session import local_port
from trainingjob_client.view.history import Series

CLIENT = Path(__file__).resolve().parents[3] / "client"
#: What `--help` and Tab must not pay for.
HEAVY = ("kubernetes", "rich", "matplotlib", "urllib3", "pydantic")


def options(*arguments: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_cluster_arguments(parser)
    return parser.parse_args(arguments)


def test_help_imports_no_library() -> None:
    code = (
        "import sys\nfrom trainingjob_client.cli import build_parser\nbuild_parser()[0].format_help()\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={"PYTHONPATH": str(CLIENT)}
    )
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("command", cli.COMMANDS)
def test_every_command_has_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        cli.main([command, "--help"])
    assert end.value.code == 0
    assert len(capsys.readouterr().out.splitlines()) > 8


def test_the_cluster_is_named_as_kubectl_names_it() -> None:
    given = cluster_options(
        options("-n", "vision", "--context=lab", "--kubeconfig", "/k", "--as", "me", "--request-timeout", "5s")
    )
    assert (given.namespace, given.context, given.kubeconfig, given.acting_for) == ("vision", "lab", "/k", "me")
    assert given.request_seconds == 5
    assert given.kubectl() == ["--kubeconfig=/k", "--context=lab", "--as=me"]
    assert cluster_options(options()).kubectl() == []


@pytest.mark.parametrize("text", ["x", "0", "-1", "1h", "inf", "nan"])
def test_a_timeout_is_seconds(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        options("--request-timeout", text)
    assert "is no time in seconds" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["watch", "a", "-A"], Exit.MISUSED, "not both"),
        (["logs", "a", "-f", "--previous"], Exit.MISUSED, "-f follows the newest pods"),
        (["logs", "a", "--tail", "-1"], Exit.MISUSED, "--tail -1: must be 0 or more"),
        (["plot", "a", "-o", "a.gif"], Exit.MISUSED, "a.gif: the name must end in .png, .svg, .pdf"),
        (["plot", "a", "-o", "/no/where/a.png"], Exit.MISUSED, "there is no folder /no/where"),
        (["list", "--kubeconfig", "/no/where"], Exit.CLUSTER, "there is no kubeconfig /no/where"),
    ],
)
def test_errors_are_a_sentence_and_a_code(
    arguments: list[str], code: int, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(arguments) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert says in err
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("a: [", "can't be used"),
        ("", "can't be used"),
        ("{}", "can't be used"),
        ("apiVersion: v1\nkind: Config\ncontexts: []\n", "can't be used"),
        ("[1, 2]", "can't be used"),
    ],
)
def test_a_kubeconfig_that_is_none_is_said(
    content: str, says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "kubeconfig"
    file.write_text(content)
    assert cli.main(["list", "--kubeconfig", str(file)]) == Exit.CLUSTER
    assert says in capsys.readouterr().err


def test_a_context_that_is_not_there_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "kubeconfig"
    file.write_text(
        "contexts: [{name: lab, context: {cluster: c, user: u}}]\ncurrent-context: lab\n"
        "clusters: [{name: c, cluster: {server: 'https://127.0.0.1:1'}}]\nusers: [{name: u, user: {token: t}}]\n"
    )
    assert cli.main(["list", "--kubeconfig", str(file), "--context", "lob"]) == Exit.CLUSTER
    assert "has no context 'lob'; it has: lab" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("others", "says"),
    [
        (["mnist-cnn", "cifar"], "did you mean mnist-cnn?"),
        (["a", "b"], "it has: a, b"),
        ([f"job-{at}" for at in range(9)], "it has: job-0, job-1, job-2, job-3, job-4, …"),
        ([], "nor any other"),
    ],
)
def test_a_job_that_is_not_there(others: list[str], says: str) -> None:
    assert says in not_found("mnist-cmn", "default", others)


def test_a_metric_and_its_twin_share_a_picture() -> None:
    lines = [Series(name, ((1, 1.0),), "steps") for name in ("val_loss", "f1", "loss", "val_f1")]
    assert [[line.name for line in group] for group in panels(lines)] == [["loss", "val_loss"], ["f1", "val_f1"]]


@pytest.mark.parametrize(("ending", "magic"), [("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF")])
def test_a_picture_is_what_its_name_says(ending: str, magic: bytes, tmp_path: Path) -> None:
    path = tmp_path / f"plot.{ending}"
    check(str(path))
    write(str(path), "job", [Series("loss", ((1, 1.0), (2, float("nan")), (3, 0.5)), "steps", (2,))])
    assert path.read_bytes().startswith(magic)


def test_without_matplotlib_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ClientError, match=r"pip install 'trainingjob-client\[plot\]'"):
        check(str(tmp_path / "a.png"))


def test_a_port_that_is_taken_is_refused_only_when_it_was_asked_for() -> None:
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ClientError, match="is taken"):
            local_port(port)
    assert local_port(None) > 0


@pytest.mark.parametrize(
    ("words", "candidates", "directive"),
    [
        (["sh"], ["show"], 4),
        (["list", "-o", ""], ["wide", "json", "name"], 4),
        (["logs", "x", "--member", "wor"], ["worker-0", "worker-1"], 4),
        (["logs", "x", "--fol"], ["--follow"], 4),
        (["convert", ""], [], 0),
        (["plot", "x", "-o", ""], [], 0),
        (["nothing", ""], [], 4),
    ],
)
def test_tab(words: list[str], candidates: list[str], directive: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert completion.main(words) == 0
    assert capsys.readouterr().out.split() == [*candidates, f":{directive}"]


def test_tab_without_a_cluster_is_silent(capsys: pytest.CaptureFixture[str]) -> None:
    assert completion.main(["show", "--kubeconfig", "/no/where", ""]) == 0
    out, err = capsys.readouterr()
    assert (out, err) == (":4\n", "")
