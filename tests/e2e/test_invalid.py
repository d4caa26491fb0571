"""Wrong specs: what the API server refuses at once, and what the operator refuses in the status, without pods."""

import copy
from typing import Any

import pytest

from tests.e2e.kube import CommandError, Json
from tests.e2e.programs import STEADY, job
from tests.e2e.world import World, condition

#: A status refusal needs no pods, no scheduler and no kubelet.
SOON = 15.0
MAIN = {"main.py": "print(1)"}
TRAINING: Json = {
    "dataset": {"builtin": {"name": "mnist"}},
    "model": {"layers": ["Flatten", {"Dense": {"units": 10, "activation": "softmax"}}]},
    "loss": "sparse_categorical_crossentropy",
    "epochs": 1,
}


def changed(path: str, value: Any, name: str = "wrong") -> Json:
    """Return a good job with one field set; `path` is like spec.workers.replicas."""
    body = copy.deepcopy(job(name))
    here = body
    *steps, last = path.split(".")
    for step in steps:
        here = here.setdefault(step, {})
    here[last] = value
    return body


#: id: (path, value, words of kubectl's answer)
REFUSED: dict[str, tuple[str, Any, list[str]]] = {
    "neither program nor training": ("spec.program", None, ["spec", "exactly one of program, training"]),
    "both program and training": ("spec.training", TRAINING, ["spec", "exactly one of program, training"]),
    "training without data": ("spec.training", {**TRAINING, "dataset": None}, ["spec.training.dataset", "Required"]),
    "an evaluator of nothing": ("spec.evaluator", {}, ["spec.evaluator", "set spec.checkpoint too"]),
    "negative workers": ("spec.workers.replicas", -1, ["spec.workers.replicas", "greater than or equal to 0"]),
    "absurdly many workers": ("spec.workers.replicas", 1000, ["spec.workers.replicas", "less than or equal to 999"]),
    "workers is a text": ("spec.workers.replicas", "two", ["spec.workers.replicas", "integer"]),
    "misspelt field": ("spec.worker", {"replicas": 2}, ['unknown field "spec.worker"']),
    "misspelt field deeper": ("spec.program.arg", ["-v"], ['unknown field "spec.program.arg"']),
    "empty command": ("spec.program.command", [], ["spec.program.command", "at least 1"]),
    "two sources": (
        "spec.program.source",
        {"configMap": {"name": "c"}, "inline": {"files": MAIN}},
        ["spec.program.source", "exactly one of configMap, inline"],
    ),
    "file outside": (
        "spec.program.source.inline.files",
        {"../main.py": ""},
        ["spec.program.source.inline.files", "relative paths"],
    ),
    "no files": ("spec.program.source.inline.files", {}, ["spec.program.source.inline.files", "at least 1"]),
    "TF_CONFIG set by hand": (
        "spec.program.env",
        [{"name": "TF_CONFIG", "value": "{}"}],
        ["spec.program.env[0].name", "set by the launcher"],
    ),
    "variable named twice": (
        "spec.program.env",
        [{"name": "A", "value": "1"}, {"name": "A", "value": "2"}],
        ["spec.program.env[1]", "Duplicate value"],
    ),
    "relative working directory": ("spec.program.workingDir", "work", ["spec.program.workingDir"]),
    "no accelerators": ("spec.nodePool.accelerator", {"count": 0}, ["spec.nodePool.accelerator.count", "to 1"]),
    "toleration without key": (
        "spec.nodePool.tolerations",
        [{"value": "x"}],
        ["spec.nodePool.tolerations[0]", "key"],
    ),
    "volume of two kinds": (
        "spec.volumes",
        [{"mountPath": "/data", "emptyDir": {}, "hostPath": {"path": "/data"}}],
        ["spec.volumes[0]", "exactly one of"],
    ),
    "volume at a place of ours": (
        "spec.volumes",
        [{"mountPath": "/workspace", "emptyDir": {}}],
        ["spec.volumes[0].mountPath", "one of the operator's own"],
    ),
    "two volumes at one place": (
        "spec.volumes",
        [{"mountPath": "/data", "emptyDir": {}}, {"mountPath": "/data", "emptyDir": {}}],
        ["spec.volumes[1]", "Duplicate value"],
    ),
    "memory is no quantity": ("spec.resources.limits", {"memory": "much"}, ["spec.resources.limits.memory"]),
    "negative memory": ("spec.resources.limits", {"memory": "-1Gi"}, ["spec.resources.limits.memory"]),
    "pull policy": ("spec.imagePullPolicy", "Sometimes", ["spec.imagePullPolicy", "Always"]),
    "reports without pause": ("spec.reporting.intervalSeconds", 0, ["spec.reporting.intervalSeconds", "to 1"]),
    "name too long": ("metadata.name", "n" * 53, ["metadata.name", "at most 52 characters"]),
    "name that is no host name": ("metadata.name", "a.b", ["metadata.name", "DNS label"]),
}


@pytest.mark.parametrize(("path", "value", "words"), REFUSED.values(), ids=REFUSED)
def test_the_api_server_refuses(shared_world: World, path: str, value: Any, words: list[str]) -> None:
    body = changed(path, value)
    if value is None:
        del body["spec"][path.rpartition(".")[2]]
    with pytest.raises(CommandError) as refusal:
        shared_world.kube.apply(body, namespace=shared_world.namespace)
    for word in words:
        assert word in refusal.value.output
    assert shared_world.kube.get("-n", shared_world.namespace, "tj")["items"] == []


#: id: (path, value, what the condition says)
INVALID: dict[str, tuple[str, Any, str]] = {
    "misspelt optimizer": (
        "spec.training",
        {**TRAINING, "optimizer": "adm"},
        'spec.training.optimizer: is not an optimizer of Keras; did you mean Adam? (it is "adm")',
    ),
    "misspelt parameter of a layer": (
        "spec.training",
        {**TRAINING, "model": {"layers": ["Flatten", {"Dense": {"unit": 10}}]}},
        "spec.training.model.layers[1].Dense.unit: ",
    ),
    "float16 on a CPU": (
        "spec.training",
        {**TRAINING, "precision": "float16"},
        "spec.training.precision: CPUs compute it 15 to 20 times slower than float32: write bfloat16",
    ),
    "unknown node pool": (
        "spec.nodePool.name",
        "a1000",
        "spec.nodePool.name: this installation has no node pool profiles: leave name out and write the fields inline "
        "(it is a1000)",
    ),
    "no image for accelerators": (
        "spec.nodePool.accelerator",
        {"count": 1},
        "spec.image: is not set, and this installation has no trainer image for accelerators: name an image here",
    ),
    "no command and no main.py": (
        "spec.program.source.inline.files",
        {"train.py": "print(1)"},
        "spec.program.command: is needed, unless the source has a main.py: write [python, your_script.py]",
    ),
    "files too large": (
        "spec.program.source.inline.files",
        {"main.py": "#" * 60_000, "more.py": "#" * 60_000},
        "spec.program.source.inline.files: all files together may have 98304 bytes: put them into a ConfigMap",
    ),
    "file and folder of one name": (
        "spec.program.source.inline.files",
        {"main.py": "", "lib": "", "lib/model.py": ""},
        "spec.program.source.inline.files: is both a file and a folder: rename one of them (it is lib)",
    ),
    "value and valueFrom": (
        "spec.program.env",
        [{"name": "A", "value": "1", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}],
        "spec.program.env[0]: has both value and valueFrom: keep one (it is A)",
    ),
    "request above limit": (
        "spec.resources",
        {"requests": {"memory": "2Gi"}, "limits": {"memory": "1Gi"}},
        "spec.resources.requests.memory: is more than limits.memory, 1Gi: lower it or raise the limit (it is 2Gi)",
    ),
    "label of the operator": (
        "spec.podTemplate.metadata.labels",
        {"trainingjob.dev/role": "chief"},
        "spec.podTemplate.metadata.labels.trainingjob.dev/role: belongs to the operator: use another name",
    ),
    "restart policy": (
        "spec.podTemplate.spec",
        {"restartPolicy": "Always"},
        "spec.podTemplate.spec.restartPolicy: belongs to the operator: remove it (it is Always)",
    ),
    "command past the launcher": (
        "spec.podTemplate.spec",
        {"containers": [{"name": "trainer", "command": ["python"]}]},
        "spec.podTemplate.spec.containers[0].command: starts the launcher: set spec.program.command instead",
    ),
    "container of no image": (
        "spec.podTemplate.spec",
        {"containers": [{"name": "trainre"}]},
        "did you mean trainer? (it is trainre)",
    ),
    # only the API server's own validation of pods can tell
    "volume name in a template": (
        "spec.podTemplate.spec",
        {"volumes": [{"name": "Bad_Name", "emptyDir": {}}]},
        "the API server refuses the chief-0: Pod",
    ),
}


@pytest.mark.parametrize("case", INVALID)
def test_the_operator_refuses(shared_world: World, case: str) -> None:
    path, value, sentence = INVALID[case]
    name = f"invalid-{list(INVALID).index(case)}"
    body = changed(path, value, name)
    if path == "spec.training":
        del body["spec"]["program"]
    shared_world.apply(body)
    status = shared_world.until_phase(name, "Invalid", SOON)
    found = condition(status, "Valid")
    assert (found["status"], found["reason"]) == ("False", "InvalidSpec")
    assert sentence in found["message"]
    assert status["observedGeneration"] == 1
    assert condition(status, "Failed")["status"] == "False", "it may still be mended"
    shared_world.check_reasons(name, "InvalidSpec")
    assert shared_world.kube.get("-n", shared_world.namespace, "pods,services")["items"] == []
    shared_world.kubectl("delete", "tj", name)


def test_what_cannot_change_after_creation(world: World) -> None:
    world.apply(job("fixed", STEADY, resources={"requests": {"cpu": "10m"}}))
    for patch, field in (
        ('{"spec":{"workers":{"replicas":3}}}', "spec.workers"),
        ('{"spec":{"image":"localhost/other:1"}}', "spec"),
        ('{"spec":{"resources":{"requests":{"cpu":"20m"}}}}', "spec.resources"),
        ('{"spec":{"resources":null}}', "spec"),
        ('{"spec":{"program":{"args":["-v"]}}}', "spec.program"),
    ):
        with pytest.raises(CommandError) as refusal:
            world.kubectl("patch", "tj", "fixed", "--type=merge", "-p", patch)
        assert field in refusal.value.output
        assert "can't change" in refusal.value.output or "immutable" in refusal.value.output
    # what may change does, and the job runs on
    world.until_reported("fixed")
    world.kubectl("patch", "tj", "fixed", "--type=merge", "-p", '{"spec":{"reporting":{"intervalSeconds":2}}}')
    world.go("fixed-chief-0")
    assert world.until_phase("fixed", "Succeeded")["observedGeneration"] == 2
