"""What only Python can judge: each refusal names the field and what to write."""

import pytest

from tests.unit.operator.api.specs import with_training
from tests.unit.operator.core.builders import job, platform, profile
from trainingjob_operator.core.validation import judge

GPU = {"accelerator": {"count": 1}}
PROGRAM = {"command": ["python", "x.py"]}

CASES = [
    ({"training": with_training(source={"inline": {"files": {"a": "", "a/b": ""}}})["training"], "program": None},
     "spec.training.source.inline.files", "both a file and a folder"),
    ({"training": with_training(
        dataset={"builder": {"function": "m:f", "arguments": {"a": "x" * 98304}}})["training"], "program": None},
     "spec.training", "may have 98304 bytes"),
    ({"checkpoint": {"volume": {"emptyDir": {}}}, "volumes": [{"mountPath": "/checkpoints", "emptyDir": {}}]},
     "spec.checkpoint.volume", "say path: /checkpoints instead"),
    ({"checkpoint": {"path": "/c"}, "evaluator": {"nodePool": {"name": "a10"}},
      "volumes": [{"mountPath": "/c", "emptyDir": {}}]}, "spec.evaluator.nodePool.name", "did you mean a100?"),
    ({"checkpoint": {"path": "gs://bucket/c"}, "reporting": {"tensorboard": True}},
     "spec.reporting.tensorboard", "not to gs://: keep the checkpoints on a volume (spec.checkpoint.volume"),
    ({"nodePool": {"name": "a10"}}, "spec.nodePool.name", "did you mean a100?"),
    ({"nodePool": {"name": "zzz"}}, "spec.nodePool.name", "there are: a100"),
    ({"program": {"args": ["x"]}}, "spec.program.command", "write [python, your_script.py]"),
    ({"program": {"source": {"inline": {"files": {"x.py": ""}}}}}, "spec.program.command", "main.py"),
    ({"program": PROGRAM | {"source": {"inline": {"files": {f"f{i}.py": "x" * 50000 for i in range(3)}}}}},
     "spec.program.source.inline.files", "98304 bytes"),
    ({"program": PROGRAM | {"source": {"inline": {"files": {"a": "", "a/b": ""}}}}},
     "spec.program.source.inline.files", "both a file and a folder"),
    ({"program": PROGRAM | {"env": [{"name": "A", "value": "1", "valueFrom": {"fieldRef": {}}}]}},
     "spec.program.env[0]", "keep one"),
    ({"resources": {"requests": {"cpu": 4}, "limits": {"cpu": "2000m"}}}, "spec.resources.requests.cpu", "limits.cpu, 2000m"),
    ({"nodePool": GPU, "resources": {"limits": {"nvidia.com/gpu": 2}}}, "spec.resources.limits.nvidia.com/gpu", "remove it"),
    ({"podTemplate": {"metadata": {"labels": {"trainingjob.dev/role": "x"}}}},
     "spec.podTemplate.metadata.labels.trainingjob.dev/role", "belongs to the operator"),
    ({"podTemplate": {"spec": {"restartPolicy": "Always"}}}, "spec.podTemplate.spec.restartPolicy", "remove it"),
    ({"podTemplate": {"spec": {"hostname": "x"}}}, "spec.podTemplate.spec.hostname", "remove it"),
    ({"podTemplate": {"spec": {"containers": {"name": "x"}}}}, "spec.podTemplate.spec.containers", "list of objects"),
    ({"podTemplate": {"spec": {"containers": [{"image": "x"}]}}}, "spec.podTemplate.spec.containers[0].name", "trainer"),
    ({"podTemplate": {"spec": {"containers": [{"name": "train"}]}}},
     "spec.podTemplate.spec.containers[0].image", "did you mean trainer?"),
    ({"podTemplate": {"spec": {"containers": [{"name": "trainer", "command": ["x"]}]}}},
     "spec.podTemplate.spec.containers[0].command", "spec.program.command"),
]  # fmt: skip


@pytest.mark.parametrize(("spec", "field", "said"), CASES, ids=[f"{field}: {said}" for _, field, said in CASES])
def test_it_is_refused_with_field_and_remedy(spec, field, said):
    spec = {"program": PROGRAM} | spec
    fact = job(**{name: value for name, value in spec.items() if value is not None})
    if spec["program"] is None:
        fact = _without_program(spec)
    assert fact.spec is not None, fact.problems
    problems = judge(fact.spec, platform(node_pools={"a100": profile(accelerator={})}))
    assert [(p.field, said in p.message) for p in problems] == [(field, True)], problems


def _without_program(spec):
    from tests.unit.operator.core.builders import job_body
    from trainingjob_operator.core.observe import observe_job

    body = job_body()
    body["spec"] = {name: value for name, value in spec.items() if value is not None}
    return observe_job(body)


def test_an_accelerator_needs_an_image_for_it():
    beside = {"evaluator": {"nodePool": GPU}, "checkpoint": {"path": "gs://bucket/c"}}
    for spec in ({"nodePool": GPU}, beside):
        problems = judge(job(**spec).spec, platform(gpu_image=""))
        assert [p.field for p in problems] == ["spec.image"]
    assert judge(job(nodePool=GPU, image="mine:1").spec, platform(gpu_image="")) == ()


def test_what_is_right_passes():
    spec = {
        "workers": {"replicas": 3},
        "nodePool": {"name": "a100", "nodeSelector": {"zone": "b"}},
        "resources": {"requests": {"cpu": "500m", "memory": "1Gi"}, "limits": {"memory": "2Gi"}},
        "program": {"source": {"configMap": {"name": "code"}}},
        "podTemplate": {"spec": {"containers": [{"name": "trainer", "stdin": True}, {"name": "p", "image": "p:1"}]}},
    }
    body = {"metadata": {"name": "x", "namespace": "y", "uid": "z", "generation": 1}, "spec": spec}
    from trainingjob_operator.core.observe import observe_job

    assert judge(observe_job(body).spec, platform(node_pools={"a100": profile(accelerator={})})) == ()
