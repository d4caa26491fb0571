"""The pods and the Service that a job wants."""

import json

import pytest

from tests.unit.operator.core.builders import UID, job, job_body, platform, profile
from trainingjob_launcher.contract import Assignment, Ledger, Policy, Rule
from trainingjob_operator.api import names
from trainingjob_operator.core.desired import Past, build_pod, build_service, members
from trainingjob_operator.core.node_pool import resolve
from trainingjob_operator.core.observe import observe_job


def chief(j, **kw):
    return build_pod(j, "chief", 0, 1, platform(**kw))


def container(pod):
    return next(c for c in pod["spec"]["containers"] if c["name"] == "trainer")


def environment(pod):
    return {v["name"]: v for v in container(pod)["env"]}


def test_a_gang_is_the_chief_and_its_workers():
    assert list(members(job(workers=2).spec)) == [("chief", 0), ("worker", 0), ("worker", 1)]
    assert list(members(job(workers=0).spec)) == [("chief", 0)]


def test_the_first_pod_of_a_member_has_the_plain_name_and_later_ones_say_which_they_are():
    first, third = (build_pod(job(), "worker", 1, n, platform()) for n in (1, 3))
    assert first["metadata"]["name"] == "mnist-worker-1"
    assert third["metadata"]["name"] == "mnist-worker-1-3"
    assert first["spec"]["hostname"] == third["spec"]["hostname"] == "mnist-worker-1"


def test_a_pod_belongs_to_its_job_by_uid_and_never_blocks_its_deletion():
    (owner,) = chief(job())["metadata"]["ownerReferences"]
    assert owner == {"apiVersion": "trainingjob.dev/v1alpha1", "kind": "TrainingJob", "name": "mnist", "uid": UID,
                     "controller": True}  # fmt: skip
    assert "finalizers" not in chief(job())["metadata"]


def test_labels_say_whose_pod_it_is():
    labels = build_pod(job(), "worker", 1, 2, platform())["metadata"]["labels"]
    assert labels | {} == {
        "trainingjob.dev/job": "mnist",
        "trainingjob.dev/role": "worker",
        "trainingjob.dev/index": "1",
        "trainingjob.dev/incarnation": "2",
        "app.kubernetes.io/name": "trainingjob",
        "app.kubernetes.io/instance": "mnist",
        "app.kubernetes.io/component": "worker",
        "app.kubernetes.io/managed-by": "trainingjob-operator",
    }


@pytest.mark.parametrize("role", ["chief", "worker"])
def test_every_pod_meets_the_restricted_pod_security_standard(role):
    pod = build_pod(job(), role, 0, 1, platform())
    spec, inner = pod["spec"]["securityContext"], container(pod)["securityContext"]
    assert spec["runAsNonRoot"] is True
    assert spec["runAsUser"] > 0
    assert spec["seccompProfile"] == {"type": "RuntimeDefault"}
    assert inner["allowPrivilegeEscalation"] is False
    assert inner["capabilities"] == {"drop": ["ALL"]}
    assert inner["readOnlyRootFilesystem"] is True


def test_pods_get_no_api_token_and_no_service_variables():
    spec = chief(job())["spec"]
    assert spec["automountServiceAccountToken"] is False
    assert spec["enableServiceLinks"] is False
    assert spec["restartPolicy"] == "Never"


def test_members_get_the_report_token_for_this_job_alone_and_the_evaluator_gets_none():
    evaluated = job(checkpoint={"volume": {"emptyDir": {}}}, evaluator={})
    pods = {role: build_pod(evaluated, role, 0, 1, platform()) for role in ("chief", "worker", "evaluator")}
    for role in ("chief", "worker"):
        (token,) = [v for v in pods[role]["spec"]["volumes"] if "projected" in v]
        assert token["projected"]["sources"][0]["serviceAccountToken"]["audience"] == f"trainingjob.dev/jobs/{UID}"
        assert "TRAININGJOB_REPORT_URL" in environment(pods[role])
    assert not [v for v in pods["evaluator"]["spec"]["volumes"] if "projected" in v]
    assert "TRAININGJOB_REPORT_URL" not in environment(pods["evaluator"])


def told(pod):
    """What the launcher of a pod reads."""
    env = {name: v["value"].replace("$$", "$") for name, v in environment(pod).items() if "value" in v}
    return Assignment.from_env(env)


def test_a_pod_of_a_job_without_a_past_says_nothing_of_it():
    pod = build_pod(job(), "worker", 0, 1, platform())
    assert "annotations" not in pod["metadata"]
    assert not [n for n in environment(pod) if n in ("TRAININGJOB_POLICY", "TRAININGJOB_LEDGER")]


def test_a_new_pod_knows_what_the_job_has_been_through():
    ledger = Ledger(generation=4, counted=2, step=120, started=True)
    past = Past(failures=1, short_lives=2, pod_failures=3, ledger=ledger)
    pod = build_pod(job(), "worker", 1, 3, platform(), past)
    assert pod["metadata"]["annotations"] == {"trainingjob.dev/failures": "1", "trainingjob.dev/short-lives": "2"}
    assert (told(pod).ledger, told(pod).pod_failures) == (ledger, 3)


def test_no_template_changes_what_is_counted():
    annotations = {"trainingjob.dev/failures": "9", "trainingjob.dev/short-lives": "9", "a": "b"}
    given = job(podTemplate={"metadata": {"annotations": annotations}})
    assert build_pod(given, "worker", 0, 1, platform())["metadata"]["annotations"] == {"a": "b"}
    counted = build_pod(given, "worker", 0, 2, platform(), Past(failures=1))["metadata"]["annotations"]
    assert counted == {"a": "b", "trainingjob.dev/failures": "1"}


def test_the_launcher_gets_the_policy_of_the_spec():
    rules = [{"exitCodes": [3], "action": "Fail"}, {"reasons": ["OOMKilled"], "action": "RestartFree"}]
    pod = build_pod(
        job(
            workers=3,
            failurePolicy={"backoffLimit": 2, "rules": rules, "stallSeconds": 90, "restart": {"warmStandby": True}},
            elastic={"minWorkers": 1, "waitSeconds": 20},
            checkpoint={"volume": {"emptyDir": {}}},
        ),
        "worker", 0, 1, platform(),
    )  # fmt: skip
    assert told(pod).policy == Policy(
        backoff_limit=2,
        rules=(Rule("Fail", exit_codes=(3,)), Rule("RestartFree", reasons=("OOMKilled",))),
        stall=90.0,
        warm_standby=True,
        min_workers=1,
        elastic_wait=20.0,
        checkpoints=True,
    )


def test_the_launcher_reads_what_the_operator_wrote():
    pod = chief(
        job(program={"command": ["python", "x.py"], "source": {"inline": {"files": {"x.py": "print('$(A) $')"}}}})
    )
    env = {name: v["value"].replace("$$", "$") for name, v in environment(pod).items() if "value" in v}
    read = Assignment.from_env(env)
    assert (read.job, read.namespace, read.uid, read.member, read.workers) == ("mnist", "ml", UID, "chief-0", 2)
    assert read.key == f"key-of-{UID}"
    assert (read.chief_host, read.chief_port) == ("mnist-chief", 7070)
    assert read.files == {"x.py": "print('$(A) $')"}
    assert read.report_url == "https://intake.system.svc/v1/namespaces/ml/trainingjobs/mnist/report"


def test_a_program_text_with_dollar_signs_reaches_the_launcher_unchanged():
    """The kubelet replaces $(NAME) in a variable's value, and $$ by $."""
    text = "echo $(HOME) $$ ${X}"
    pod = chief(job(program={"source": {"inline": {"files": {"main.py": text}}}}))
    value = environment(pod)["TRAININGJOB_FILES"]["value"]
    assert json.loads(value.replace("$$", "$")) == {"main.py": text}
    assert "$(" not in value.replace("$$", "")


def test_the_command_goes_to_the_launcher_as_arguments_where_the_kubelet_replaces_variables():
    inner = container(chief(job(program={"command": ["python", "train.py"], "args": ["--lr", "$(LR)"]})))
    assert inner["command"] == ["python3", "-m", "trainingjob_launcher", "--"]
    assert inner["args"] == ["python", "train.py", "--lr", "$(LR)"]


def test_a_source_with_main_py_needs_no_command():
    inner = container(chief(job(program={"source": {"inline": {"files": {"main.py": ""}}}})))
    assert inner["args"] == ["python3", "main.py"]


def test_a_program_in_the_image_starts_where_the_image_says():
    assert "TRAININGJOB_WORK_DIR" not in environment(chief(job()))
    assert (
        environment(chief(job(program={"command": ["x"], "workingDir": "/app"})))["TRAININGJOB_WORK_DIR"]["value"]
        == "/app"
    )
    inline = {"source": {"inline": {"files": {"main.py": ""}}}}
    assert environment(chief(job(program=inline)))["TRAININGJOB_WORK_DIR"]["value"] == "/workspace"


def test_the_users_variables_come_last_and_may_replace_home():
    env = [{"name": "LR", "value": "0.1"}, {"name": "HOME", "value": "/data"},
           {"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}]  # fmt: skip
    pod = chief(job(program={"command": ["x"], "env": env}))
    assert environment(pod)["HOME"] == {"name": "HOME", "value": "/data"}
    assert environment(pod)["KEY"]["valueFrom"]["secretKeyRef"]["name"] == "s"
    assert [v["name"] for v in container(pod)["env"]].count("HOME") == 1


def test_a_program_from_a_config_map_is_mounted_for_the_launcher_to_copy():
    pod = chief(job(program={"source": {"configMap": {"name": "code"}}}))
    (volume,) = [v for v in pod["spec"]["volumes"] if "configMap" in v]
    (mount,) = [m for m in container(pod)["volumeMounts"] if m["name"] == volume["name"]]
    assert environment(pod)["TRAININGJOB_SOURCE_DIR"]["value"] == mount["mountPath"]
    assert mount["readOnly"] is True


def test_volumes_in_short_form_become_volumes_and_mounts():
    volumes = [
        {"mountPath": "/data", "persistentVolumeClaim": {"claimName": "digits"}, "readOnly": True},
        {"mountPath": "/cache", "emptyDir": {"medium": "Memory", "sizeLimit": "1Gi"}, "subPath": "a"},
    ]
    pod = chief(job(volumes=volumes))
    assert [v for v in pod["spec"]["volumes"] if v["name"].startswith("volume-")] == [
        {"name": "volume-0", "persistentVolumeClaim": {"claimName": "digits"}},
        {"name": "volume-1", "emptyDir": {"medium": "Memory", "sizeLimit": "1Gi"}},
    ]
    assert [m for m in container(pod)["volumeMounts"] if m["name"].startswith("volume-")] == [
        {"name": "volume-0", "mountPath": "/data", "readOnly": True},
        {"name": "volume-1", "mountPath": "/cache", "subPath": "a"},
    ]


class TestTraining:
    """Declarative training: the operator's trainer runs it."""

    def pod(self, role="chief", **training):
        given = {"dataset": {"builtin": {"name": "mnist"}}, "model": {"preset": "CNN"}, "loss": "mse", "epochs": 1}
        body = job_body(1, training=given | training)
        del body["spec"]["program"]
        return build_pod(observe_job(body), role, 0, 1, platform())

    def test_the_launcher_starts_our_trainer_in_a_folder_that_it_may_write_to(self):
        inner = container(self.pod())
        assert inner["command"] == ["python3", "-m", "trainingjob_launcher", "--"]
        assert inner["args"] == ["python3", "-m", "trainingjob_trainer"]
        assert environment(self.pod())["TRAININGJOB_WORK_DIR"]["value"] == "/workspace"

    def test_its_files_are_placed_as_a_programs_are(self):
        inline = self.pod(source={"inline": {"files": {"my_data.py": "x = 1"}}})
        assert json.loads(environment(inline)["TRAININGJOB_FILES"]["value"]) == {"my_data.py": "x = 1"}
        mounted = self.pod("worker", source={"configMap": {"name": "code"}})
        assert {"name": "program", "configMap": {"name": "code"}} in mounted["spec"]["volumes"]
        assert "TRAININGJOB_SOURCE_DIR" in environment(mounted)


@pytest.mark.parametrize("role", ["chief", "worker"])
def test_volumes_of_checkpoints_and_output_have_places_of_their_own(role):
    spec = {
        "checkpoint": {"volume": {"persistentVolumeClaim": {"claimName": "runs"}, "subPath": "mnist"}},
        "output": {"volume": {"emptyDir": {"medium": "", "sizeLimit": "1Gi"}}},
    }
    pod = build_pod(job(**spec), role, 0, 1, platform())
    named = {volume["name"]: volume for volume in pod["spec"]["volumes"]}
    assert named["checkpoints"]["persistentVolumeClaim"] == {"claimName": "runs"}
    assert named["output"]["emptyDir"] == {"sizeLimit": "1Gi"}
    mounts = {mount["name"]: mount for mount in container(pod)["volumeMounts"]}
    assert mounts["checkpoints"] == {"name": "checkpoints", "mountPath": "/checkpoints", "subPath": "mnist"}
    assert mounts["output"] == {"name": "output", "mountPath": "/output"}


def test_paths_of_checkpoints_and_output_need_no_volume():
    pod = chief(job(checkpoint={"path": "/data/c"}, output={"path": "s3://models/m"}))
    assert {"checkpoints", "output"}.isdisjoint(volume["name"] for volume in pod["spec"]["volumes"])


@pytest.mark.parametrize(
    ("checkpoint", "folder"),
    [
        ({"path": "/data/c/"}, "/data/c/tensorboard/mnist"),
        ({"volume": {"emptyDir": {}}}, "/checkpoints/tensorboard/mnist"),
        ({"path": "gs://bucket/c"}, None),
    ],
)
def test_event_files_lie_beside_the_checkpoints_and_only_the_chief_writes_them(checkpoint, folder):
    spec = {"checkpoint": checkpoint, "volumes": [{"mountPath": "/data", "emptyDir": {}}]}
    asked = job(**spec, reporting={"tensorboard": True})
    assert environment(chief(asked)).get("TRAININGJOB_TENSORBOARD_DIR", {}).get("value") == folder
    assert "TRAININGJOB_TENSORBOARD_DIR" not in environment(build_pod(asked, "worker", 0, 1, platform()))
    assert "TRAININGJOB_TENSORBOARD_DIR" not in environment(chief(job(**spec)))


class TestNodePools:
    A100 = profile(
        accelerator={"count": 8},
        nodeSelector={"pool": "a100"},
        tolerations=[{"key": "team", "operator": "Equal", "value": "ml", "effect": "NoSchedule"}],
        priorityClassName="training",
    )

    def pod(self, **pool):
        return chief(job(nodePool=pool), node_pools={"a100": self.A100})

    def test_an_inline_pool_asks_for_accelerators_and_tolerates_their_taint(self):
        pod = self.pod(accelerator={"count": 2})
        assert container(pod)["resources"]["limits"] == {"nvidia.com/gpu": 2}
        assert {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"} in pod["spec"]["tolerations"]
        assert container(pod)["image"] == "trainer:gpu"

    def test_its_variables_are_the_least_of_all(self):
        pools = {"a100": profile(env=[{"name": "NCCL_DEBUG", "value": "WARN"}, {"name": "HOME", "value": "/pool"},
                                      {"name": "NCCL_SOCKET_IFNAME", "value": "eth0"}])}  # fmt: skip
        pool = {"name": "a100", "env": [{"name": "NCCL_DEBUG", "value": "INFO"}]}
        own = {"command": ["x"], "env": [{"name": "NCCL_SOCKET_IFNAME", "value": "ib0"}]}
        env = environment(chief(job(nodePool=pool, program=own), node_pools=pools))
        assert env["NCCL_DEBUG"]["value"] == "INFO", "the job's pool wins over the profile"
        merged = resolve(job(nodePool=pool).spec.node_pool, pools).env
        assert [variable.name for variable in merged] == ["HOME", "NCCL_SOCKET_IFNAME", "NCCL_DEBUG"]
        assert env["NCCL_SOCKET_IFNAME"]["value"] == "ib0", "the program wins over both"
        assert env["HOME"]["value"] == "/pool"
        assert env["TRAININGJOB_NAME"]["value"] == "mnist"
        worker = build_pod(job(nodePool=pool), "worker", 0, 1, platform(node_pools=pools))
        assert environment(worker)["NCCL_SOCKET_IFNAME"]["value"] == "eth0"

    def test_nothing_of_nccl_is_set_where_no_pool_says_so(self):
        assert not [name for name in environment(self.pod(accelerator={"count": 8})) if name.startswith("NCCL")]

    def test_without_accelerators_the_job_runs_on_cpu(self):
        assert container(chief(job()))["image"] == "trainer:cpu"
        assert "resources" in container(chief(job()))
        assert "tolerations" not in chief(job())["spec"]

    def test_a_profile_gives_what_the_job_does_not_say(self):
        pod = self.pod(name="a100")
        assert container(pod)["resources"]["limits"] == {"nvidia.com/gpu": 8}
        assert pod["spec"]["nodeSelector"] == {"pool": "a100"}
        assert pod["spec"]["priorityClassName"] == "training"

    def test_the_jobs_fields_win_selectors_merge_and_tolerations_add(self):
        pod = self.pod(
            name="a100", accelerator={"count": 1}, nodeSelector={"zone": "b"}, tolerations=[{"key": "spot"}]
        )
        assert container(pod)["resources"]["limits"] == {"nvidia.com/gpu": 1}
        assert pod["spec"]["nodeSelector"] == {"pool": "a100", "zone": "b"}
        assert [t["key"] for t in pod["spec"]["tolerations"]] == ["team", "spot", "nvidia.com/gpu"]

    def test_spread_is_over_the_jobs_own_pods(self):
        (constraint,) = self.pod(topologySpread=[{"topologyKey": "zone"}])["spec"]["topologySpreadConstraints"]
        assert constraint == {
            "topologyKey": "zone", "maxSkew": 1, "whenUnsatisfiable": "ScheduleAnyway",
            "labelSelector": {"matchLabels": {"trainingjob.dev/job": "mnist"}},
        }  # fmt: skip

    def test_members_with_accelerators_have_shared_memory_of_their_own(self):
        pod = self.pod(name="a100")
        assert {"name": "shm", "emptyDir": {"medium": "Memory"}} in pod["spec"]["volumes"]

    def test_accelerators_join_the_jobs_own_resources(self):
        j = job(nodePool={"accelerator": {}}, resources={"limits": {"memory": "1Gi"}, "requests": {"cpu": 1}})
        assert container(chief(j))["resources"] == {
            "limits": {"memory": "1Gi", "nvidia.com/gpu": 1}, "requests": {"cpu": 1},
        }  # fmt: skip


class TestPodTemplate:
    def test_it_is_merged_by_name(self):
        template = {
            "metadata": {"labels": {"team": "ml"}, "annotations": {"a": "b"}},
            "spec": {
                "containers": [
                    {"name": "trainer", "env": [{"name": "A", "value": "1"}], "stdin": True},
                    {"name": "proxy", "image": "proxy:1"},
                ],
                "serviceAccountName": "ml",
                "tolerations": [{"key": "x"}],
            },
        }
        pod = chief(job(podTemplate=template))
        assert pod["metadata"]["labels"]["team"] == "ml"
        assert pod["metadata"]["labels"][names.LABEL_ROLE] == "chief"
        assert environment(pod)["A"]["value"] == "1"
        assert "TRAININGJOB_NAME" in environment(pod)
        assert container(pod)["stdin"] is True
        assert [c["name"] for c in pod["spec"]["containers"]] == ["trainer", "proxy"]
        assert pod["spec"]["serviceAccountName"] == "ml"

    def test_null_removes_what_the_operator_set(self):
        template = {"spec": {"containers": [{"name": "trainer", "securityContext": None}]}}
        assert "securityContext" not in container(chief(job(podTemplate=template)))


class TestService:
    def test_it_is_a_name_for_the_chief(self):
        service = build_service(job())
        assert service["metadata"]["name"] == "mnist-chief"
        assert service["spec"]["clusterIP"] == "None"
        assert "selector" not in service["spec"], "the operator says where it leads, see test_address.py"

    def test_a_chief_alone_is_in_no_subdomain(self):
        assert "subdomain" not in chief(job(workers=0))["spec"]
        assert chief(job(workers=1))["spec"]["subdomain"] == "mnist-chief"
