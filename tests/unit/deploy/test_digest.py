"""An image's tag changes with what goes into it, and with nothing else."""

from pathlib import Path

from tests.unit.deploy.shell import call


def digest(folder: Path) -> str:
    return call("digest src", home=folder, environment={"FROM": str(folder)})


def test_digest(tmp_path: Path) -> None:
    source = tmp_path / "src"
    (source / "__pycache__").mkdir(parents=True)
    (source / "a.py").write_text("1")
    first = digest(tmp_path)
    assert len(first) == 12

    (source / "__pycache__" / "a.pyc").write_text("compiled")
    assert digest(tmp_path) == first

    (source / "a.py").write_text("2")
    changed = digest(tmp_path)
    assert changed != first

    (source / "a.py").rename(source / "b.py")
    assert digest(tmp_path) not in (first, changed)
