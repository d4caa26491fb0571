"""References of images become the chart's repository and tag."""

from pathlib import Path

import pytest

from tests.unit.deploy.shell import ROOT, ShellError, call


def functions() -> str:
    """Return the two functions of install.sh, which otherwise acts."""
    text = (ROOT / "deploy/install.sh").read_text()
    return text[text.index("repository() {") : text.index("HELM=")]


@pytest.mark.parametrize(
    ("image", "repository", "tag"),
    [
        ("localhost/trainingjob/operator:dev-1", "localhost/trainingjob/operator", "dev-1"),
        ("registry.test:5000/team/operator:v2", "registry.test:5000/team/operator", "v2"),
    ],
)
def test_reference_is_split(image: str, repository: str, tag: str, tmp_path: Path) -> None:
    assert call(f"{functions()}\nrepository {image}; tag {image}", home=tmp_path).split() == [repository, tag]


@pytest.mark.parametrize("image", ["registry.test:5000/operator", "operator", "x/y@sha256:00"])
def test_reference_without_a_tag_is_refused(image: str, tmp_path: Path) -> None:
    with pytest.raises(ShellError, match="names no tag"):
        call(f"{functions()}\nrepository {image}", home=tmp_path)
