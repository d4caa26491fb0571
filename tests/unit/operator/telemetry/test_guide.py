"""docs/guides/monitoring.md: its tables are the catalog, its queries ask for metrics that exist."""

import importlib.util
import re
from pathlib import Path

import promql_parser

from trainingjob_operator.telemetry import families

ROOT = Path(__file__).resolve().parents[4]
PAGE = (ROOT / "docs/guides/monitoring.md").read_text(encoding="utf-8")


def test_the_tables_are_up_to_date() -> None:
    spec = importlib.util.spec_from_file_location("metrics", ROOT / "docs/hack/metrics.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.page(PAGE) == PAGE, "the metrics have changed: run `make generate`"


def test_every_metric_has_a_row() -> None:
    assert set(re.findall(r"^\| `(trainingjob_\w+)` \|", PAGE, re.MULTILINE)) == {f.name for f in families.EVERY}


def test_queries_parse_and_name_metrics_that_exist() -> None:
    section = PAGE.split("## Questions and their queries", 1)[1].split("\n## ", 1)[0]
    queries = re.findall(r"\| `(.+)` \|$", section, re.MULTILINE)
    assert len(queries) >= 5
    known = {family.name for family in families.EVERY}
    for query in queries:
        promql_parser.parse(query)
        assert set(re.findall(r"\btrainingjob_\w+", query)) <= known, query


def test_metrics_named_anywhere_exist() -> None:
    known = {family.name for family in families.EVERY}
    assert {name for name in re.findall(r"\btrainingjob_[a-z_]+", PAGE) if name.rstrip("_") != "trainingjob"} <= known
