"""What the operator writes into the chart's objects survives an upgrade."""

import re

import pytest

from tests.chart import helm
from tests.chart.test_render import SHAPES


@pytest.mark.parametrize("values", SHAPES.values(), ids=SHAPES.keys())
def test_the_secret_has_no_data_that_an_upgrade_would_write(values: helm.Values) -> None:
    secret = helm.pick(helm.render(values), "Secret")
    assert set(secret) == {"apiVersion", "kind", "metadata", "type"}
    assert secret["type"] == "Opaque"


@pytest.mark.parametrize("values", SHAPES.values(), ids=SHAPES.keys())
def test_the_lease_has_no_spec_that_an_upgrade_would_write(values: helm.Values) -> None:
    assert set(helm.pick(helm.render(values), "Lease")) == {"apiVersion", "kind", "metadata"}


def test_two_renders_are_the_same() -> None:
    # Nothing random, nothing of the clock: an upgrade without changes changes nothing.
    assert helm.template(SHAPES["everything"]) == helm.template(SHAPES["everything"])


def test_nothing_asks_the_cluster_while_it_renders() -> None:
    # `lookup` answers nothing in `helm template`, `--dry-run` and GitOps tools, and would make other manifests there.
    words = re.compile(r"\{\{[^}]*\b(lookup|rand\w+|gen[A-Z]\w+|now|uuidv4)\b")
    for path in (helm.CHART / "templates").iterdir():
        assert words.findall(path.read_text()) == [], path
