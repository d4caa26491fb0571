"""Makes files/dashboard.json, the Grafana dashboard, of the tables in dashboard_panels.py.

dashboard.py [--check]
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from dashboard_panels import ROWS, Panel

FILE = Path(__file__).resolve().parents[1] / "files" / "dashboard.json"
SOURCE = {"type": "prometheus", "uid": "${datasource}"}


def panel(item: Panel, number: int, x: int, y: int) -> dict[str, Any]:
    """Return a panel as Grafana stores it."""
    table = item.kind == "table"
    shape: dict[str, Any] = {
        "id": number,
        "type": item.kind,
        "title": item.title,
        "description": item.description,
        "datasource": SOURCE,
        "gridPos": {"x": x, "y": y, "w": item.width, "h": height(item)},
        "fieldConfig": {"defaults": {"unit": item.unit}, "overrides": []},
        "targets": [
            {
                "refId": chr(ord("A") + index),
                "datasource": SOURCE,
                "expr": expr,
                "legendFormat": legend,
                "instant": item.kind != "timeseries",
                "range": item.kind == "timeseries",
                "format": "table" if table else "time_series",
            }
            for index, (expr, legend) in enumerate(item.queries)
        ],
    }
    if table:
        names = {f"Value #{chr(ord('A') + index)}": legend for index, (_, legend) in enumerate(item.queries)}
        hidden = ["Time", "__name__", "container", "endpoint", "instance", "job", "metric", "pod", "service"]
        shape["transformations"] = [
            {"id": "merge", "options": {}},
            {"id": "organize", "options": {"excludeByName": dict.fromkeys(hidden, True), "renameByName": names}},
        ]
        units = {"Progress": "percentunit", "Goodput": "percentunit", "ETA": "s"}
        shape["fieldConfig"]["overrides"] = [
            {"matcher": {"id": "byName", "options": name}, "properties": [{"id": "unit", "value": unit}]}
            for name, unit in units.items()
        ]
    if item.kind == "stat":
        text = "name" if item.title in ("Phase", "Version") else "auto"
        shape["options"] = {"reduceOptions": {"calcs": ["lastNotNull"]}, "textMode": text, "colorMode": "none"}
    return shape


def height(item: Panel) -> int:
    """Return a panel's height in grid units."""
    return {"stat": 4, "table": 9}.get(item.kind, 8)


def variable(name: str, label: str, query: str) -> dict[str, Any]:
    """Return a variable whose values Prometheus knows."""
    return {
        "name": name,
        "label": label,
        "type": "query",
        "datasource": SOURCE,
        "query": {"query": query, "refId": name},
        "definition": query,
        "refresh": 2,
        "sort": 1,
        "multi": True,
        "includeAll": True,
        "current": {"text": "All", "value": "$__all"},
    }


def dashboard() -> dict[str, Any]:
    """Return the dashboard as Grafana stores it."""
    panels: list[dict[str, Any]] = []
    y = 0
    for title, items in ROWS:
        row = {"x": 0, "y": y, "w": 24, "h": 1}
        panels.append(
            {"id": len(panels) + 1, "type": "row", "title": title, "collapsed": False, "gridPos": row, "panels": []}
        )
        y += 1
        x = tallest = 0
        for item in items:
            if x + item.width > 24:
                x, y, tallest = 0, y + tallest, 0
            panels.append(panel(item, len(panels) + 1, x, y))
            x, tallest = x + item.width, max(tallest, height(item))
        y += tallest
    return {
        "uid": "trainingjob",
        "title": "TrainingJobs",
        "tags": ["trainingjob", "tensorflow"],
        "schemaVersion": 39,
        "editable": True,
        "refresh": "30s",
        "time": {"from": "now-3h", "to": "now"},
        "templating": {
            "list": [
                {"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus"},
                variable("namespace", "Namespace", "label_values(trainingjob_phase, namespace)"),
                variable("job", "Job", 'label_values(trainingjob_phase{namespace=~"$namespace"}, job_name)'),
            ]
        },
        "panels": panels,
    }


def main() -> int:
    """Write the file, or with --check compare it; exit status 1 says that it differs."""
    parser = argparse.ArgumentParser(description="write the Grafana dashboard")
    parser.add_argument("--check", action="store_true", help="write nothing; fail when the file is out of date")
    wanted = json.dumps(dashboard(), indent=1) + "\n"
    if parser.parse_args().check:
        current = FILE.read_text() if FILE.exists() else ""
        if current != wanted:
            print(f"{FILE} is out of date: run make generate", file=sys.stderr)
        return int(current != wanted)
    FILE.parent.mkdir(exist_ok=True)
    FILE.write_text(wanted)
    return 0


if __name__ == "__main__":
    sys.exit(main())
