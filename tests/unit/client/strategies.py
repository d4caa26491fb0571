"""Random TFJobs. Texts are unlike each other, so that a test can find each of them in what became of the TFJob."""

import copy
import itertools
from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

Draw = Callable[[st.SearchStrategy[Any]], Any]
ROLES = ("Chief", "Worker", "Evaluator")


class Maker:
    """Makes the parts of one TFJob; every text that it invents is new."""

    def __init__(self, draw: Draw) -> None:
        self.draw = draw
        self._numbers = itertools.count(1)

    def word(self, prefix: str = "w") -> str:
        return f"{prefix}{next(self._numbers)}x"

    def some(self, *choices: Any) -> Any:
        return self.draw(st.sampled_from(choices))

    def number(self, most: int = 4) -> int:
        return int(self.draw(st.integers(0, most)))

    def maybe(self, **fields: Callable[[], Any]) -> dict[str, Any]:
        """Return an object with a random choice of these fields."""
        return {name: make() for name, make in fields.items() if self.draw(st.booleans())}

    def texts(self, prefix: str = "k") -> dict[str, str]:
        return {self.word(prefix): self.word() for _ in range(self.number(2))}

    def source(self) -> dict[str, Any]:
        return self.some(
            lambda: {"persistentVolumeClaim": {"claimName": self.word("claim"), **self.maybe(readOnly=lambda: True)}},
            lambda: {"emptyDir": self.maybe(medium=lambda: "Memory", sizeLimit=lambda: f"{self.number(99) + 1}Gi")},
            lambda: {
                "configMap": {"name": self.word("cm"), **self.maybe(defaultMode=lambda: 420, optional=lambda: True)}
            },
            lambda: {
                "secret": {
                    "secretName": self.word("s"),
                    **self.maybe(items=lambda: [{"key": self.word(), "path": self.word()}]),
                }
            },
            lambda: {"hostPath": {"path": "/" + self.word(), **self.maybe(type=lambda: "Directory")}},
            lambda: {"nfs": {"server": self.word(), "path": "/" + self.word()}},
            lambda: {"csi": {"driver": self.word(), "volumeAttributes": self.texts()}},
            lambda: {"downwardAPI": {"items": [{"path": self.word(), "fieldRef": {"fieldPath": "metadata.name"}}]}},
            lambda: {"projected": {"sources": [{"secret": {"name": self.word()}}]}},
        )()

    def mount(self, names: list[str]) -> dict[str, Any]:
        path = self.some(
            "/" + self.word("mount"), "/" + self.word("mount"), "/ckpt", "/tmp", "/dev/shm", "/workspace"
        )
        more = self.maybe(subPath=lambda: self.word("sub"), readOnly=lambda: self.some(True, False))
        return {"name": self.some(*names), "mountPath": path, **more}

    def mounts(self, names: list[str]) -> list[dict[str, Any]]:
        made = [self.mount(names) for _ in range(self.number(4))] if names else []
        return list({mount["mountPath"]: mount for mount in made}.values())

    def variable(self) -> dict[str, Any]:
        name = self.some(self.word("ENV"), self.word("ENV"), self.word("ENV"), "TF_CONFIG", "TWICE")
        return self.some(
            lambda: {"name": name, "value": self.word()},
            lambda: {"name": name, "valueFrom": {"secretKeyRef": {"name": self.word(), "key": self.word()}}},
            lambda: {"name": name, "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
        )()

    def amounts(self) -> dict[str, Any]:
        return self.maybe(
            **{
                "cpu": lambda: self.some(2, "500m", 0.5),
                "memory": lambda: f"{self.number(90) + 1}Gi",
                "nvidia.com/gpu": lambda: self.some(1, "2", 8),
                "example.com/fpga": lambda: 1,
                "ephemeral-storage": lambda: "10G",
            }
        )

    def trainer(self, names: list[str]) -> dict[str, Any]:
        limits = self.amounts()
        requests = {name: value for name, value in limits.items() if self.number(1)}
        return {
            "name": "tensorflow",
            "image": self.word("registry.example.com/"),
            **self.maybe(
                command=lambda: ["python", self.word("/app/")],
                args=lambda: [self.word("--") for _ in range(self.number(3))],
                workingDir=lambda: "/" + self.word(),
                imagePullPolicy=lambda: self.some("Always", "IfNotPresent"),
                env=lambda: [self.variable() for _ in range(self.number(4))],
                envFrom=lambda: [{"configMapRef": {"name": self.word()}}],
                ports=lambda: [
                    {"name": "tfjob-port", "containerPort": 2222},
                    {"name": self.word("p"), "containerPort": 8080},
                ],
                resources=lambda: {"limits": limits, "requests": requests},
                volumeMounts=lambda: self.mounts(names),
                volumeDevices=lambda: [{"name": self.some(*names), "devicePath": "/" + self.word()}] if names else [],
                securityContext=lambda: self.maybe(runAsUser=lambda: self.number(1), privileged=lambda: True),
                livenessProbe=lambda: {"exec": {"command": [self.word()]}},
                terminationMessagePath=lambda: "/" + self.word(),
                stdin=lambda: True,
            ),
        }

    def other(self, names: list[str]) -> dict[str, Any]:
        mounts = self.maybe(
            volumeMounts=lambda: self.mounts(names), env=lambda: [{"name": self.word(), "value": self.word()}]
        )
        return {"name": self.some(self.word("side"), self.word("side"), "trainer"), "image": self.word(), **mounts}

    def others(self, names: list[str]) -> list[dict[str, Any]]:
        made = [self.other(names) for _ in range(self.number(2))]
        return list({container["name"]: container for container in made}.values())

    def toleration(self) -> dict[str, Any]:
        return self.some(
            lambda: {"key": self.word(), "operator": "Exists", **self.maybe(effect=lambda: "NoSchedule")},
            lambda: {"key": self.word(), "value": self.word(), "effect": "NoExecute", "tolerationSeconds": 3},
            lambda: {"key": self.word(), "operator": "Gt", "value": "5"},
        )()

    def spread(self) -> dict[str, Any]:
        more = self.maybe(minDomains=lambda: 2, labelSelector=lambda: {"matchLabels": self.texts()})
        return {"topologyKey": self.word(), "maxSkew": 1, "whenUnsatisfiable": "ScheduleAnyway", **more}

    def pod(self) -> dict[str, Any]:
        names = [
            self.some(self.word("vol"), self.word("vol"), "tmp", "volume-0", "shm") for _ in range(self.number(4))
        ]
        names = list(dict.fromkeys(names))
        containers = self.some(
            lambda: [self.trainer(names)],
            lambda: [self.trainer(names), *self.others(names)],
            lambda: [*self.others(names), self.trainer(names)],
        )()
        return {
            "containers": containers,
            "volumes": [{"name": name, **self.source()} for name in names],
            **self.maybe(
                initContainers=lambda: [self.other(names) | {"name": self.word("init")}],
                nodeSelector=self.texts,
                tolerations=lambda: [self.toleration() for _ in range(self.number(3))],
                affinity=lambda: {"nodeAffinity": {"preferred": [self.texts()]}},
                topologySpreadConstraints=lambda: [self.spread()],
                priorityClassName=lambda: self.word("p"),
                schedulerName=lambda: self.some(self.word("s"), "Not A Name"),
                runtimeClassName=lambda: self.word("r"),
                serviceAccountName=lambda: self.word("sa"),
                automountServiceAccountToken=lambda: False,
                imagePullSecrets=lambda: [{"name": self.word("pull")}],
                securityContext=lambda: self.maybe(runAsUser=lambda: 0, fsGroup=lambda: 77),
                terminationGracePeriodSeconds=lambda: 33,
                hostNetwork=lambda: True,
                dnsConfig=lambda: {"options": [{"name": self.word(), "value": self.word()}]},
                restartPolicy=lambda: "OnFailure",
                nodeName=lambda: self.word("node"),
                activeDeadlineSeconds=lambda: 5,
            ),
        }

    def template(self) -> dict[str, Any]:
        metadata = self.maybe(labels=self.texts, annotations=lambda: self.texts("example.com/"))
        return {"spec": self.pod(), **({"metadata": metadata} if metadata else {})}

    def role(self, template: dict[str, Any]) -> dict[str, Any]:
        more = self.maybe(
            replicas=lambda: self.number(5),
            restartPolicy=lambda: self.some("Never", "OnFailure", "Always", "ExitCode"),
        )
        return {"template": template, **more}

    def run_policy(self) -> dict[str, Any]:
        return self.maybe(
            cleanPodPolicy=lambda: self.some("None", "All", "Running"),
            ttlSecondsAfterFinished=lambda: 11,
            activeDeadlineSeconds=lambda: 12,
            backoffLimit=lambda: self.number(3),
            suspend=lambda: self.some(True, False),
            managedBy=lambda: self.some("kubeflow.org/training-operator", self.word("example.com/")),
            schedulingPolicy=lambda: self.maybe(
                minAvailable=lambda: self.number(5),
                queue=lambda: self.word("q"),
                priorityClass=lambda: self.word("pc"),
                minResources=lambda: {"cpu": 3},
                scheduleTimeoutSeconds=lambda: 9,
            ),
        )


@st.composite
def tfjobs(draw: Draw) -> dict[str, Any]:
    """TFJobs that Kubeflow's operator would run, all roles but PS."""
    make = Maker(draw)
    common = make.template()
    roles = {role: make.role(common if make.number(2) else make.template()) for role in ROLES if make.number(2)}
    roles = roles or {"Worker": make.role(common)}
    metadata = make.maybe(
        namespace=lambda: make.word("ns"),
        labels=make.texts,
        annotations=make.texts,
        uid=make.word,
        finalizers=lambda: [make.word()],
    )
    spec = make.maybe(
        runPolicy=make.run_policy,
        successPolicy=lambda: make.some("", "AllWorkers"),
        enableDynamicWorker=lambda: make.some(True, False),
    )
    return {
        "apiVersion": "kubeflow.org/v1",
        "kind": "TFJob",
        "metadata": {"name": make.word("job"), **metadata},
        "spec": {"tfReplicaSpecs": roles, **spec},
    }


_GARBAGE = st.one_of(
    st.none(), st.booleans(), st.integers(-3, 3), st.floats(allow_nan=True), st.text(max_size=3), st.just([]), st.just({}),
    st.just([1]), st.just(["a", None]), st.just({"a": 1}), st.just([{"name": 5}]), st.just({"name": []}), st.just([{}]),
)  # fmt: skip


@st.composite
def spoiled(draw: Draw) -> dict[str, Any]:
    """TFJobs in which something is not what it should be."""
    job = copy.deepcopy(draw(tfjobs()))
    for _ in range(draw(st.integers(1, 3))):
        places = list(_places(job))
        holder, key = places[draw(st.integers(0, len(places) - 1))]
        holder[key] = copy.deepcopy(draw(_GARBAGE))
    job["apiVersion"], job["kind"] = "kubeflow.org/v1", "TFJob"
    return dict(job)


def _places(value: Any) -> Any:
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in list(pairs):
        yield value, key
        yield from _places(item)
