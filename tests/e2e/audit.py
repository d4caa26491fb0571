"""The API server's audit log, as far as it concerns one namespace and one user: what was asked of the API."""

import json
import subprocess
from collections import Counter
from dataclasses import dataclass
from urllib.parse import parse_qs, urlsplit

from tests.e2e.kube import ROOT

WRITES = frozenset({"create", "update", "patch", "delete", "deletecollection"})


@dataclass(frozen=True)
class Write:
    """One write. `what` is like `pods` or `trainingjobs/status`, `manager` its field manager, where it names one."""

    verb: str
    what: str
    manager: str
    code: int


def writes(user: str, namespace: str) -> list[Write]:
    """Return the writes of a user in a namespace, in order."""
    found = []
    with subprocess.Popen([str(ROOT / "deploy/cluster.sh"), "audit-log"], stdout=subprocess.PIPE, text=True) as log:
        assert log.stdout is not None
        for line in log.stdout:
            if namespace not in line:  # reading JSON is dear, and the log is long
                continue
            entry = json.loads(line)
            about = entry.get("objectRef") or {}
            if entry["user"]["username"] == user and entry["verb"] in WRITES and about.get("namespace") == namespace:
                what = "/".join(filter(None, (about["resource"], about.get("subresource"))))
                query = parse_qs(urlsplit(entry["requestURI"]).query)
                manager = query.get("fieldManager", [""])[0]
                found.append(Write(entry["verb"], what, manager, entry["responseStatus"]["code"]))
    assert log.returncode == 0, f"deploy/cluster.sh audit-log ended with {log.returncode}"
    return found


def count(found: list[Write]) -> dict[str, int]:
    """Return how many writes of each kind there were: `update trainingjobs/status by trainingjob-operator` and so on."""
    return dict(Counter(f"{w.verb} {w.what}" + (f" by {w.manager}" if w.manager else "") for w in found))
