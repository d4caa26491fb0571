"""How a program gets into its pods: sources, volumes, variables, arguments, templates."""

import json

from tests.e2e.kube import Json
from tests.e2e.programs import job
from tests.e2e.world import World

#: Prints everything that these tests ask about, as one line of JSON.
SHOW = """\
import json, os, sys
from pathlib import Path

def text(path):
    return Path(path).read_text() if Path(path).exists() else None

print(json.dumps({
    "args": sys.argv[1:],
    "cwd": os.getcwd(),
    "env": {name: os.environ.get(name) for name in ("PLAIN", "JOINED", "FROM_MAP", "FROM_SECRET", "NODE", "WHOLE")},
    "map": text("/etc/settings/rate"),
    "item": text("/etc/one/sub/renamed"),
    "read only": not os.access("/etc/settings", os.W_OK),
    "scratch": os.access("/scratch", os.W_OK),
    "uid": os.getuid(),
    "helper": text("lib/helper.py"),
}))
"""


def printed(world: World, pod: str) -> Json:
    line = next(line for line in world.kubectl("logs", pod).splitlines() if line.startswith("{"))
    found: Json = json.loads(line)
    return found


def config_map(name: str, **data: str) -> Json:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


def test_volumes_variables_and_arguments(world: World) -> None:
    body = job(
        "show",
        workers=1,
        volumes=[
            {"mountPath": "/etc/settings", "readOnly": True, "configMap": {"name": "settings"}},
            {
                "mountPath": "/etc/one",
                "configMap": {"name": "settings", "items": [{"key": "rate", "path": "sub/renamed"}]},
            },
            {"mountPath": "/scratch", "emptyDir": {"medium": "Memory", "sizeLimit": "8Mi"}},
        ],
    )
    body["spec"]["program"] = {
        "command": ["python3", "show.py"],
        "args": ["--rate=$(FROM_MAP)", "$(JOINED)", "$(UNKNOWN)", "$$(PLAIN)", ""],
        "env": [
            {"name": "PLAIN", "value": "plain"},
            {"name": "JOINED", "value": "$(PLAIN) and simple"},
            {"name": "FROM_MAP", "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "rate"}}},
            {"name": "FROM_SECRET", "valueFrom": {"secretKeyRef": {"name": "hidden", "key": "word"}}},
            {"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}},
        ],
        "envFrom": [{"configMapRef": {"name": "whole"}}],
        "source": {"inline": {"files": {"show.py": SHOW, "lib/helper.py": "COST = '$(PLAIN) $5'\n"}}},
    }
    world.apply(
        config_map("settings", rate="0.125"),
        config_map("whole", WHOLE="all of it"),
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "hidden"}, "stringData": {"word": "abracadabra"}},
        body,
    )
    world.until_phase("show", "Succeeded")
    for pod in ("show-chief-0", "show-worker-0"):
        assert printed(world, pod) == {
            "args": ["--rate=0.125", "plain and simple", "$(UNKNOWN)", "$(PLAIN)", ""],
            "cwd": "/workspace",
            "env": {
                "PLAIN": "plain",
                "JOINED": "plain and simple",
                "FROM_MAP": "0.125",
                "FROM_SECRET": "abracadabra",
                "NODE": world.pods.objects[pod]["spec"]["nodeName"],
                "WHOLE": "all of it",
            },
            "map": "0.125",
            "item": "0.125",
            "read only": True,
            "scratch": True,
            "uid": 1000,
            "helper": "COST = '$(PLAIN) $5'\n",  # a program's text is nobody's template
        }


def test_a_program_from_a_config_map(world: World) -> None:
    body = job("mapped")
    body["spec"]["program"] = {"source": {"configMap": {"name": "program"}}, "args": ["-v"]}
    files = {
        "main.py": "import helper, sys; print(helper.hello(sys.argv))",
        "helper.py": "def hello(v): return f'hello {v[1]}'",
    }
    world.apply(config_map("program", **files), body)
    world.until_phase("mapped", "Succeeded")
    assert "hello -v" in world.kubectl("logs", "mapped-chief-0").splitlines()


def test_a_pod_template(world: World) -> None:
    template = {
        "metadata": {"labels": {"team": "vision"}, "annotations": {"example.com/note": "two words"}},
        "spec": {
            "terminationGracePeriodSeconds": 7,
            "containers": [{"name": "trainer", "env": [{"name": "EXTRA", "value": "more"}]}],
            "hostAliases": [{"ip": "192.0.2.7", "hostnames": ["data.example.com"]}],
        },
    }
    program = "import os, socket; print(os.environ['EXTRA'], socket.gethostbyname('data.example.com'))"
    world.apply(job("templated", program, workers=1, podTemplate=template))
    world.until_phase("templated", "Succeeded")
    for pod in ("templated-chief-0", "templated-worker-0"):
        found = world.pods.objects[pod]
        assert found["metadata"]["labels"]["team"] == "vision"
        assert found["metadata"]["labels"]["trainingjob.dev/job"] == "templated"
        assert found["metadata"]["annotations"]["example.com/note"] == "two words"
        assert found["spec"]["terminationGracePeriodSeconds"] == 7
        assert "more 192.0.2.7" in world.kubectl("logs", pod).splitlines()


def test_what_a_members_pod_may_do(world: World) -> None:
    """No API token but the one to report with, no links to Services, nothing of root."""
    world.apply(job("modest", workers=1))
    world.until_phase("modest", "Succeeded")
    chief, worker = (world.pods.objects[f"modest-{member}"] for member in ("chief-0", "worker-0"))
    for pod in (chief, worker):
        assert pod["spec"]["automountServiceAccountToken"] is False
        assert pod["spec"]["enableServiceLinks"] is False
        assert pod["spec"]["securityContext"]["runAsNonRoot"] is True
        assert [owner["name"] for owner in pod["metadata"]["ownerReferences"]] == ["modest"]
        assert "finalizers" not in pod["metadata"]
    uid = world.job("modest")["metadata"]["uid"]
    for pod in (chief, worker):
        [projected] = [volume for volume in pod["spec"]["volumes"] if "projected" in volume]
        assert [source["serviceAccountToken"]["audience"] for source in projected["projected"]["sources"]] == [
            f"trainingjob.dev/jobs/{uid}"
        ]
    assert "finalizers" not in world.job("modest")["metadata"]
