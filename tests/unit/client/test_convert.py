"""TFJobs of the shapes that people have, and what becomes of them, field by field."""

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.unit.operator.core.builders import UID, platform
from trainingjob_client import Conversion, Level, convert
from trainingjob_operator.api.validation import check_metadata, parse_spec
from trainingjob_operator.core.desired import build_pod
from trainingjob_operator.core.observe import observe_job
from trainingjob_operator.core.validation import judge

FOLDER = Path(__file__).parent / "tfjobs"
SHAPES = sorted(path.stem for path in FOLDER.glob("*.yaml"))
REFUSED = ["parameter-servers"]


def shape(name: str) -> dict[str, Any]:
    documents = yaml.safe_load_all((FOLDER / f"{name}.yaml").read_text(encoding="utf-8"))
    return next(dict(document) for document in documents if document["kind"] == "TFJob")


def tfjob(
    container: Mapping[str, Any] | None = None, pod: Mapping[str, Any] | None = None, **spec: Any
) -> dict[str, Any]:
    """A TFJob with one worker, and only what a test is about."""
    trainer = {"name": "tensorflow", "image": "train:1", "command": ["python", "train.py"], **(container or {})}
    template = {"spec": {"containers": [trainer], **(pod or {})}}
    return {
        "apiVersion": "kubeflow.org/v1",
        "kind": "TFJob",
        "metadata": {"name": "a"},
        "spec": {"tfReplicaSpecs": {"Worker": {"template": template}}, **spec},
    }


def spec_of(job: Mapping[str, Any], **options: Any) -> dict[str, Any]:
    result = convert(job, **options)
    assert result.job is not None, result.notes
    return dict(result.job["spec"])


def trainer_of(spec: Mapping[str, Any]) -> dict[str, Any]:
    """What podTemplate says of the container that trains."""
    containers = spec.get("podTemplate", {}).get("spec", {}).get("containers", [])
    return next((container for container in containers if container["name"] == "trainer"), {})


def pod_of(result: Conversion, role: str = "chief") -> dict[str, Any]:
    """The pod's spec that the operator builds from what came out."""
    assert result.job is not None
    body = {**result.job, "metadata": {"namespace": "ml", "uid": UID, "generation": 1, **result.job["metadata"]}}
    return dict(build_pod(observe_job(body), role, 0, 1, platform())["spec"])


def notes(result: Conversion, *levels: Level) -> dict[str, str]:
    """The notes as field → advice; without levels all that people are shown."""
    wanted = levels or (Level.TODO, Level.LOST, Level.CHANGED)
    return {
        note.field.removeprefix("spec.tfReplicaSpecs."): note.advice for note in result.notes if note.level in wanted
    }


@pytest.mark.parametrize("name", [name for name in SHAPES if name not in REFUSED])
def test_a_published_shape_becomes_a_job_that_the_operator_runs(name: str) -> None:
    result = convert(shape(name), command=["python", "/train.py"], checkpoint="/ckpt")
    assert result.job is not None
    assert result.job["apiVersion"] == "trainingjob.dev/v1alpha1"
    assert check_metadata(result.job["metadata"]) == []
    spec, problems = parse_spec(result.job["spec"])
    assert problems == []
    assert spec is not None
    assert judge(spec, platform()) == ()
    assert notes(result, Level.TODO) == {}


def test_the_keras_example() -> None:
    result = convert(shape("keras-multi-worker"), command=["python", "/app/train.py"])
    assert result.job == {
        "apiVersion": "trainingjob.dev/v1alpha1",
        "kind": "TrainingJob",
        "metadata": {"name": "multi-worker", "namespace": "research"},
        "spec": {
            "image": "registry.example.com/strategies/keras:v3",
            "workers": {"replicas": 1},
            "nodePool": {"accelerator": {"resource": "nvidia.com/gpu", "count": 1}},
            "volumes": [{"mountPath": "/train", "persistentVolumeClaim": {"claimName": "strategy-volume"}}],
            "runPolicy": {"cleanPodPolicy": "None"},
            "program": {"command": ["python", "/app/train.py"]},
        },
    }
    assert "worker 0 becomes the chief" in notes(result)["Worker.replicas"]


def test_an_entrypoint_that_only_the_image_knows_is_asked_for() -> None:
    """The operator refuses such a job before it makes a pod, and the note says so first."""
    result = convert(shape("keras-multi-worker"))
    assert result.job is not None
    spec, _ = parse_spec(result.job["spec"])
    assert spec is not None
    assert [problem.field for problem in judge(spec, platform())] == ["spec.program.command"]
    assert result.notes[0].level is Level.TODO
    assert result.notes[0].field.endswith("containers[tensorflow].command")
    assert "--command" in result.notes[0].advice


def test_parameter_servers_are_refused_with_what_to_do() -> None:
    result = convert(shape("parameter-servers"))
    assert result.job is None
    assert "MultiWorkerMirroredStrategy" in notes(result, Level.TODO)["PS"]


def test_chief_workers_and_evaluator() -> None:
    result = convert(shape("estimator"), checkpoint="/ckpt")
    spec = spec_of(shape("estimator"), checkpoint="/ckpt")
    assert spec["workers"] == {"replicas": 2}
    assert spec["checkpoint"] == {"path": "/ckpt"}
    # Its own resources, and no accelerator where the members have two.
    assert spec["evaluator"] == {"resources": {"limits": {"memory": "4Gi"}}, "nodePool": {}}
    told = notes(result)
    assert told["Worker.template.spec.containers[tensorflow].args[1]"].startswith("only the workers had it")
    assert "Evaluator.template.spec.volumes[data]" in told


def test_resources_are_enough_for_chief_and_workers() -> None:
    """The chief asked for cpu 2, memory 8Gi; the workers for cpu 4, memory 4Gi and up to 16Gi."""
    resources = spec_of(shape("estimator"))["resources"]
    assert resources == {"requests": {"cpu": 4, "memory": "8Gi"}, "limits": {"memory": "16Gi"}}


def test_a_limit_of_one_role_does_not_bind_the_other() -> None:
    job = tfjob({"resources": {"requests": {"memory": "6Gi"}}})
    chief = copy.deepcopy(job["spec"]["tfReplicaSpecs"]["Worker"])
    chief["template"]["spec"]["containers"][0]["resources"] = {"limits": {"memory": "4Gi", "nvidia.com/gpu": 1}}
    job["spec"]["tfReplicaSpecs"]["Chief"] = chief
    spec = spec_of(job)
    assert spec["resources"] == {"requests": {"memory": "6Gi"}}
    assert spec["nodePool"]["accelerator"]["count"] == 1


def test_an_evaluator_without_checkpoints_is_left_out_and_asked_for() -> None:
    result = convert(shape("estimator"))
    assert result.job is not None
    assert "evaluator" not in result.job["spec"]
    assert "--checkpoint" in notes(result, Level.TODO)["Evaluator"]


@pytest.mark.parametrize("path", ["ckpt", "/elsewhere", "/data/ckpt", "a://b c"])
def test_an_evaluator_is_left_out_where_checkpoints_can_not_lie(path: str) -> None:
    """The path is none, lies on no volume, lies on a volume that is read-only, or holds a space."""
    job = shape("estimator")
    for role in job["spec"]["tfReplicaSpecs"].values():  # so that only the short form of volumes is there
        role["template"]["spec"].pop("initContainers", None)
        role["template"]["spec"]["volumes"] = role["template"]["spec"]["volumes"][:2]
        mounts = role["template"]["spec"]["containers"][0]["volumeMounts"]
        role["template"]["spec"]["containers"][0]["volumeMounts"] = mounts[:3]
    result = convert(job, checkpoint=path)
    assert result.job is not None
    assert "evaluator" not in result.job["spec"]
    assert notes(result, Level.TODO)["Evaluator"].startswith("left out: ")
    assert "evaluator" in spec_of(job, checkpoint="/ckpt/run-1")


@pytest.mark.parametrize(
    ("replicas", "workers"),
    [
        ({"Worker": 1}, 0),
        ({"Worker": 4}, 3),
        ({"Chief": 1, "Worker": 4}, 4),
        ({"Master": 1, "Worker": 4}, 4),
        ({"CHIEF": 1, "worker": 4}, 4),
        ({"Chief": 1}, 0),
        ({"Chief": 0, "Worker": 2}, 1),
        ({"Chief": 1, "Worker": 0}, 0),
        ({"Worker": None}, 0),
        ({"Worker": 2, "PS": 0}, 1),
    ],
)
def test_who_becomes_whom(replicas: dict[str, int | None], workers: int) -> None:
    job = tfjob()
    template = job["spec"]["tfReplicaSpecs"].pop("Worker")["template"]
    job["spec"]["tfReplicaSpecs"] = {
        role: {"replicas": count, "template": template} for role, count in replicas.items()
    }
    assert spec_of(job)["workers"] == {"replicas": workers}


@pytest.mark.parametrize(
    "roles", [{}, {"Worker": {"replicas": 0}}, {"Evaluator": {"replicas": 1}}, {"Worker": {"replicas": 1001}}]
)
def test_a_gang_that_can_not_be_is_refused(roles: dict[str, Any]) -> None:
    template = tfjob()["spec"]["tfReplicaSpecs"]["Worker"]["template"]
    job = tfjob()
    job["spec"]["tfReplicaSpecs"] = {role: {"template": template, **value} for role, value in roles.items()}
    result = convert(job)
    assert result.job is None
    assert notes(result, Level.TODO)


@pytest.mark.parametrize(
    ("field", "value", "level"),
    [
        ("cleanPodPolicy", "Running", Level.SAME),
        ("cleanPodPolicy", "None", Level.CHANGED),
        ("cleanPodPolicy", "All", Level.CHANGED),
        ("cleanPodPolicy", "Never", Level.LOST),
        ("ttlSecondsAfterFinished", 60, Level.CHANGED),
        ("activeDeadlineSeconds", 60, Level.CHANGED),
        ("activeDeadlineSeconds", 0, Level.LOST),
        ("backoffLimit", 0, Level.CHANGED),
        ("backoffLimit", 3, Level.CHANGED),
        ("backoffLimit", -1, Level.LOST),
        ("suspend", False, Level.SAME),
        ("suspend", True, Level.CHANGED),
        ("managedBy", "kubeflow.org/training-operator", Level.SAME),
        ("managedBy", "kueue.x-k8s.io/multikueue", Level.LOST),
    ],
)
@pytest.mark.parametrize("at", ["spec.runPolicy", "spec"])
def test_the_run_policy_is_answered_wherever_it_stands(at: str, field: str, value: Any, level: Level) -> None:
    """Older TFJobs have these fields in the spec itself."""
    result = convert(tfjob(runPolicy={field: value}) if at == "spec.runPolicy" else tfjob(**{field: value}))
    assert [(note.level, note.value) for note in result.notes if note.field == f"{at}.{field}"] == [
        (level, value if isinstance(value, str) else str(value).lower())
    ]


def test_the_run_policy_is_carried_over() -> None:
    policy = {"cleanPodPolicy": "All", "ttlSecondsAfterFinished": 0, "activeDeadlineSeconds": 60, "backoffLimit": 3}
    result = convert(tfjob(runPolicy={**policy, "suspend": True}))
    assert result.job is not None
    spec = result.job["spec"]
    assert spec["failurePolicy"] == {"backoffLimit": policy.pop("backoffLimit")}
    assert spec["runPolicy"] == policy
    assert spec["suspend"] is True


def test_scheduling_policy() -> None:
    policy = {"queue": "q", "minAvailable": 1, "priorityClass": "batch", "scheduleTimeoutSeconds": 9}
    result = convert(tfjob(runPolicy={"schedulingPolicy": policy}))
    assert result.job is not None
    assert result.job["spec"]["nodePool"] == {"priorityClassName": "batch"}
    lost = {field.rsplit(".", 1)[1] for field in notes(result, Level.LOST)}
    assert lost == {"queue", "scheduleTimeoutSeconds"}


@pytest.mark.parametrize(
    ("policy", "answer"),
    [
        ("Never", "backoffLimit says otherwise: 0 is never"),
        ("OnFailure", "in place"),
        ("ExitCode", "failurePolicy.rules"),
    ],
)
def test_restart_policies(policy: str, answer: str) -> None:
    job = tfjob()
    job["spec"]["tfReplicaSpecs"]["Worker"]["restartPolicy"] = policy
    [note] = [note for note in convert(job).notes if note.field.endswith("Worker.restartPolicy")]
    assert note.level is Level.CHANGED
    assert answer in note.advice


def test_the_program() -> None:
    program = spec_of(
        tfjob(
            {
                "command": ["python"],
                "args": ["train.py", "--epochs=$(EPOCHS)"],
                "workingDir": "/app/",
                "env": [
                    {"name": "EPOCHS", "value": "3"},
                    {
                        "name": "CPUS",
                        "valueFrom": {"resourceFieldRef": {"containerName": "tensorflow", "resource": "limits.cpu"}},
                    },
                ],
                "envFrom": [{"secretRef": {"name": "s"}}],
            }
        )
    )["program"]
    assert program == {
        "command": ["python"],
        "args": ["train.py", "--epochs=$(EPOCHS)"],
        "workingDir": "/app",
        "env": [
            {"name": "EPOCHS", "value": "3"},
            {
                "name": "CPUS",
                "valueFrom": {"resourceFieldRef": {"containerName": "trainer", "resource": "limits.cpu"}},
            },
        ],
        "envFrom": [{"secretRef": {"name": "s"}}],
    }


def test_the_launchers_own_variables_are_left_out() -> None:
    result = convert(tfjob({"env": [{"name": "TF_CONFIG", "value": "{}"}, {"name": "A", "value": "1"}]}))
    assert result.job is not None
    assert result.job["spec"]["program"]["env"] == [{"name": "A", "value": "1"}]
    assert "Worker.template.spec.containers[tensorflow].env[TF_CONFIG]" in notes(result, Level.LOST)


def test_a_variable_that_is_there_twice_has_its_last_value() -> None:
    result = convert(
        tfjob({"env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}, {"name": "A", "value": "3"}]})
    )
    assert result.job is not None
    assert result.job["spec"]["program"]["env"] == [{"name": "A", "value": "3"}, {"name": "B", "value": "2"}]
    assert "Worker.template.spec.containers[tensorflow].env[A]" in notes(result, Level.LOST)


@pytest.mark.parametrize(
    ("limits", "accelerator", "resources"),
    [
        (
            {"nvidia.com/gpu": 2, "memory": "4Gi"},
            {"resource": "nvidia.com/gpu", "count": 2},
            {"limits": {"memory": "4Gi"}},
        ),
        ({"amd.com/gpu": "1"}, {"resource": "amd.com/gpu", "count": 1}, None),
        ({"nvidia.com/mig-1g.5gb": 1}, {"resource": "nvidia.com/mig-1g.5gb", "count": 1}, None),
        ({"example.com/fpga": 1}, None, {"limits": {"example.com/fpga": 1}}),
        ({"nvidia.com/gpu": 0, "cpu": 0.5}, None, {"limits": {"cpu": "0.5"}}),
    ],
)
def test_accelerators_go_into_the_node_pool(limits: Any, accelerator: Any, resources: Any) -> None:
    spec = spec_of(tfjob({"resources": {"limits": limits}}))
    assert spec.get("nodePool", {}).get("accelerator") == accelerator
    assert spec.get("resources") == resources


CLAIM = {"persistentVolumeClaim": {"claimName": "c"}}


@pytest.mark.parametrize(
    ("source", "mounts", "volumes"),
    [
        pytest.param(CLAIM, [{"mountPath": "/a"}], [{"mountPath": "/a", **CLAIM}], id="claim"),
        pytest.param(
            CLAIM,
            [{"mountPath": "/a", "subPath": "x"}, {"mountPath": "/b/", "readOnly": True}],
            [{"mountPath": "/a", "subPath": "x", **CLAIM}, {"mountPath": "/b", "readOnly": True, **CLAIM}],
            id="claim in two places",
        ),
        pytest.param(
            {"persistentVolumeClaim": {"claimName": "c", "readOnly": True}},
            [{"mountPath": "/a"}],
            [{"mountPath": "/a", "readOnly": True, **CLAIM}],
            id="read-only claim",
        ),
        pytest.param({"emptyDir": {}}, [{"mountPath": "/a"}], [{"mountPath": "/a", "emptyDir": {}}], id="empty"),
        pytest.param(
            {"configMap": {"name": "m", "items": [{"key": "k", "path": "p"}]}},
            [{"mountPath": "/a"}],
            [{"mountPath": "/a", "configMap": {"name": "m", "items": [{"key": "k", "path": "p"}]}}],
            id="configMap",
        ),
    ],
)
def test_volumes_in_the_short_form(source: Any, mounts: list[Any], volumes: Any) -> None:
    pod = {"volumes": [{"name": "v", **source}]}
    spec = spec_of(tfjob({"volumeMounts": [{"name": "v", **mount} for mount in mounts]}, pod))
    assert spec["volumes"] == volumes
    assert "podTemplate" not in spec


@pytest.mark.parametrize(
    ("source", "mounts", "pod"),
    [
        pytest.param({"projected": {"sources": []}}, [{"mountPath": "/a"}], {}, id="source without a short form"),
        pytest.param({"configMap": {"name": "m", "defaultMode": 493}}, [{"mountPath": "/a"}], {}, id="mode"),
        pytest.param(
            {"emptyDir": {}}, [{"mountPath": "/a"}, {"mountPath": "/b"}], {}, id="one empty folder, two places"
        ),
        pytest.param({"emptyDir": {"medium": "Memory"}}, [{"mountPath": "/dev/shm"}], {}, id="the operator's path"),
        pytest.param(CLAIM, [{"mountPath": "/a", "mountPropagation": "HostToContainer"}], {}, id="propagation"),
        pytest.param(
            {"emptyDir": {}},
            [{"mountPath": "/a"}],
            {"initContainers": [{"name": "i", "image": "i", "volumeMounts": [{"name": "v", "mountPath": "/x"}]}]},
            id="shared with an init container",
        ),
    ],
)
def test_volumes_that_the_short_form_can_not_say_are_the_same_in_the_pod(
    source: Any, mounts: list[Any], pod: Any
) -> None:
    given = [{"name": "v", **mount} for mount in mounts]
    result = convert(tfjob({"volumeMounts": given}, {"volumes": [{"name": "v", **source}], **pod}))
    built = pod_of(result)
    assert {"name": "v", **source} in built["volumes"]
    assert [mount for mount in built["containers"][0]["volumeMounts"] if mount["name"] == "v"] == given


def test_a_volume_with_the_name_of_one_of_the_operators_gets_another_everywhere() -> None:
    side = {"name": "s", "image": "s", "volumeMounts": [{"name": "tmp", "mountPath": "/x"}]}
    pod = {"volumes": [{"name": "tmp", "emptyDir": {"sizeLimit": "1Gi"}}], "initContainers": [side]}
    built = pod_of(convert(tfjob({"volumeMounts": [{"name": "tmp", "mountPath": "/a"}]}, pod)))
    assert {"name": "tfjob-tmp", "emptyDir": {"sizeLimit": "1Gi"}} in built["volumes"]
    assert {"name": "tmp", "emptyDir": {}} in built["volumes"]
    assert built["initContainers"][0]["volumeMounts"] == [{"name": "tfjob-tmp", "mountPath": "/x"}]
    assert {"name": "tfjob-tmp", "mountPath": "/a"} in built["containers"][0]["volumeMounts"]


def test_where_pods_run() -> None:
    pod = {
        "nodeSelector": {"pool": "gpu"},
        "tolerations": [{"key": "a", "operator": "Exists"}],
        "affinity": {
            "podAntiAffinity": {"x": [{"labelSelector": {"matchLabels": {"training.kubeflow.org/job-name": "a"}}}]}
        },
        "topologySpreadConstraints": [{"topologyKey": "zone", "maxSkew": 2, "whenUnsatisfiable": "DoNotSchedule"}],
        "priorityClassName": "high",
        "schedulerName": "volcano",
        "runtimeClassName": "nvidia",
    }
    spec = spec_of(tfjob(None, pod))
    assert "podTemplate" not in spec
    assert spec["nodePool"] == {
        "nodeSelector": {"pool": "gpu"},
        "tolerations": [{"key": "a", "operator": "Exists"}],
        "affinity": {"podAntiAffinity": {"x": [{"labelSelector": {"matchLabels": {"trainingjob.dev/job": "a"}}}]}},
        "topologySpread": [{"topologyKey": "zone", "maxSkew": 2, "whenUnsatisfiable": "DoNotSchedule"}],
        "priorityClassName": "high",
        "schedulerName": "volcano",
        "runtimeClassName": "nvidia",
    }


@pytest.mark.parametrize(
    "field",
    [
        {"terminationGracePeriodSeconds": 120},
        {"hostNetwork": True},
        {"dnsPolicy": "ClusterFirstWithHostNet"},
        {"tolerations": [{"key": "a", "operator": "Gt", "value": "5"}]},
        {
            "topologySpreadConstraints": [
                {"topologyKey": "z", "maxSkew": 1, "whenUnsatisfiable": "DoNotSchedule", "minDomains": 2}
            ]
        },
        {"hostAliases": [{"ip": "10.0.0.1", "hostnames": ["a"]}]},
    ],
    ids=lambda field: next(iter(field)),
)
def test_what_has_no_field_goes_into_the_pod_template(field: dict[str, Any]) -> None:
    result = convert(tfjob(None, field))
    assert {key: pod_of(result)[key] for key in field} == field


def test_who_names_a_service_account_gets_its_token() -> None:
    """Kubernetes mounts it by default; the operator's pods have none unless they are told."""
    assert pod_of(convert(tfjob(None, {"serviceAccountName": "sa"})))["automountServiceAccountToken"] is True
    off = {"serviceAccountName": "sa", "automountServiceAccountToken": False}
    assert pod_of(convert(tfjob(None, off)))["automountServiceAccountToken"] is False


def test_sidecars_end_with_the_training() -> None:
    """A pod has not succeeded while one of its containers runs, and the chief's pod must."""
    job = tfjob()
    job["spec"]["tfReplicaSpecs"]["Worker"]["template"]["spec"]["containers"].append(
        {"name": "trainer", "image": "m"}
    )
    built = pod_of(convert(job))
    assert [container["name"] for container in built["containers"]] == ["trainer"]
    assert built["initContainers"] == [{"name": "trainer-sidecar", "image": "m", "restartPolicy": "Always"}]


def test_root_and_privileges_make_pods_that_start() -> None:
    built = pod_of(convert(tfjob({"securityContext": {"privileged": True}}, {"securityContext": {"runAsUser": 0}})))
    assert built["securityContext"]["runAsNonRoot"] is False
    assert built["containers"][0]["securityContext"]["allowPrivilegeEscalation"] is True


@pytest.mark.parametrize("field", ["hostname", "subdomain", "nodeName", "activeDeadlineSeconds"])
def test_what_belongs_to_the_operator_is_told(field: str) -> None:
    result = convert(tfjob(None, {field: 5 if field == "activeDeadlineSeconds" else "x"}))
    assert f"Worker.template.spec.{field}" in notes(result, Level.LOST)
    assert field not in spec_of(tfjob(None, {field: "x"})).get("podTemplate", {}).get("spec", {})


def test_labels_and_annotations_of_the_pods() -> None:
    job = tfjob()
    job["spec"]["tfReplicaSpecs"]["Worker"]["template"]["metadata"] = {
        "labels": {"app": "x", "trainingjob.dev/role": "mine"},
        "annotations": {"kubectl.kubernetes.io/default-container": "tensorflow", "scheduling.k8s.io/group-name": "g"},
    }
    result = convert(job)
    assert result.job is not None
    assert result.job["spec"]["podTemplate"]["metadata"] == {
        "labels": {"app": "x"},
        "annotations": {"kubectl.kubernetes.io/default-container": "trainer"},
    }
    assert len([field for field in notes(result, Level.LOST) if "metadata" in field]) == 2


def test_long_names_are_shortened_and_stay_unlike() -> None:
    names = [f"a-name-of-more-than-fifty-two-characters-in-all-the-{end}" for end in ("one", "other")]
    jobs = [convert({**tfjob(), "metadata": {"name": name}}).job for name in names]
    short = [job["metadata"]["name"] for job in jobs if job]
    assert all(check_metadata({"name": name}) == [] for name in short)
    assert len(set(short)) == 2
    assert short == [
        job["metadata"]["name"]
        for job in (convert({**tfjob(), "metadata": {"name": name}}).job for name in names)
        if job
    ]


def test_other_versions_and_kinds_are_refused() -> None:
    for change in ({"apiVersion": "kubeflow.org/v1beta2"}, {"kind": "PyTorchJob"}):
        result = convert({**tfjob(), **change})
        assert result.job is None
        assert "kubeflow.org/v1" in result.notes[0].advice


def test_a_claim_and_its_mount_that_disagree_are_kept_as_they_are() -> None:
    """The short form has one `readOnly`; a read-only claim mounted with `readOnly: false` has two."""
    mount = {"name": "data", "mountPath": "/data", "readOnly": False}
    claim = {"name": "data", "persistentVolumeClaim": {"claimName": "images", "readOnly": True}}
    container = {"name": "tensorflow", "image": "i", "command": ["python", "a.py"], "volumeMounts": [mount]}
    template = {"spec": {"containers": [container], "volumes": [claim]}}
    job = {
        "apiVersion": "kubeflow.org/v1", "kind": "TFJob", "metadata": {"name": "a"},
        "spec": {"tfReplicaSpecs": {"Worker": {"replicas": 1, "template": template}}},
    }  # fmt: skip
    made = convert(job).job
    assert made is not None
    assert "volumes" not in made["spec"]
    assert made["spec"]["podTemplate"]["spec"]["volumes"] == [claim]


def test_a_note_names_the_place_of_an_item_as_it_was_given() -> None:
    result = convert(tfjob(container={"ports": [None, -1]}))
    assert [note.field.rpartition(".")[2] for note in result.notes if "is no port" in note.advice] == ["ports[1]"]
