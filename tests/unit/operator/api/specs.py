"""One table of specs for both judges: the unit tests hold Python against it, tests/apiserver a real API server."""

import copy
from dataclasses import dataclass
from typing import Any

Spec = dict[str, Any]

#: Every field of a job with a program, each at least once; fields of `training` are in DECLARATIVE.
EVERYTHING: Spec = {
    "image": "localhost/trainingjob/trainer:dev",
    "imagePullPolicy": "IfNotPresent",
    "imagePullSecrets": ["registry", "mirror.registry"],
    "workers": {"replicas": 3},
    "evaluator": {"resources": {"limits": {"memory": "2Gi"}}, "nodePool": {"nodeSelector": {"pool": "cpu"}}},
    "communication": "ring",
    "nodePool": {
        "name": "a100",
        "accelerator": {"resource": "nvidia.com/gpu", "count": 8},
        "nodeSelector": {"example.com/pool": "a100", "empty": ""},
        "tolerations": [
            {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"},
            {"key": "spot", "value": "true", "effect": "NoExecute", "tolerationSeconds": 60},
            {"operator": "Exists"},
        ],
        "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [{}]}}},
        "topologySpread": [
            {"topologyKey": "topology.kubernetes.io/zone", "maxSkew": 2, "whenUnsatisfiable": "DoNotSchedule"},
            {"topologyKey": "kubernetes.io/hostname"},
        ],
        "priorityClassName": "batch",
        "schedulerName": "volcano",
        "runtimeClassName": "nvidia",
        "env": [
            {"name": "NCCL_SOCKET_IFNAME", "value": "eth0"},
            {"name": "NCCL_DEBUG", "valueFrom": {"configMapKeyRef": {"name": "nccl", "key": "debug"}}},
        ],
    },
    "resources": {
        "requests": {"cpu": "500m", "memory": "1Gi", "ephemeral-storage": 1000000},
        "limits": {"cpu": 2, "memory": "1.5Gi", "example.com/fpga": "1e3"},
    },
    "volumes": [
        {
            "mountPath": "/data",
            "subPath": "mnist/v1",
            "readOnly": True,
            "persistentVolumeClaim": {"claimName": "data"},
        },
        {"mountPath": "/scratch", "emptyDir": {"medium": "Memory", "sizeLimit": "1Gi"}},
        {"mountPath": "/scratch/more", "emptyDir": {}},
        {
            "mountPath": "/etc/train",
            "configMap": {"name": "c", "items": [{"key": "a", "path": "b/c", "mode": 420}], "optional": True},
        },
        {
            "mountPath": "/etc/secret",
            "secret": {"secretName": "s", "items": [{"key": "a", "path": ".a", "mode": 0}], "optional": False},
        },
        {"mountPath": "/host", "hostPath": {"path": "/", "type": "Directory"}},
        {"mountPath": "/nfs", "nfs": {"server": "10.0.0.1", "path": "/export"}},
        {"mountPath": "/csi", "csi": {"driver": "example.com", "volumeAttributes": {"a": "b"}}},
        {
            "mountPath": "/claim",
            "ephemeral": {
                "volumeClaimTemplate": {
                    "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
                }
            },
        },
    ],
    "podTemplate": {
        "metadata": {"labels": {"team": "vision"}, "annotations": {"example.com/note": "two words"}},
        "spec": {"containers": [{"name": "trainer", "securityContext": {"capabilities": {"add": ["IPC_LOCK"]}}}]},
    },
    "program": {
        "command": ["python", "-u", "main.py"],
        "args": ["--epochs=$(EPOCHS)", ""],
        "env": [
            {"name": "EPOCHS", "value": "10"},
            {"name": "PASSWORD", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}},
        ],
        "envFrom": [{"configMapRef": {"name": "settings"}}],
        "workingDir": "/app",
        "source": {"inline": {"files": {"main.py": "print('hi')\n", "lib/model.py": ""}}},
        "keras": {"patchFit": False},
        "injectLauncher": True,
    },
    "checkpoint": {"path": "/nfs/checkpoints", "everySteps": 500, "keep": 2},
    "output": {"path": "gs://bucket/model", "format": "savedModel"},
    "stopWhen": {
        "metric": "val_accuracy",
        "reaches": 0.99,
        "patience": 3,
        "mode": "max",
        "minDelta": 0.001,
        "restoreBest": True,
    },
    "suspend": True,
    "managedBy": "kueue.x-k8s.io/multikueue",
    "elastic": {"minWorkers": 1, "waitSeconds": 30},
    "runPolicy": {
        "startupDeadlineSeconds": 600,
        "activeDeadlineSeconds": 86400,
        "ttlSecondsAfterFinished": 0,
        "cleanPodPolicy": "All",
    },
    "failurePolicy": {
        "backoffLimit": 0,
        "rules": [
            {"exitCodes": [1, 255], "action": "Fail"},
            {"reasons": ["OOMKilled", "Stalled"], "action": "Restart"},
            {"reasons": ["Stalled"], "action": "Ignore"},
        ],
        "stallSeconds": 300,
        "replaceAfterSeconds": 5,
        "restart": {"warmStandby": True},
    },
    "reporting": {
        "intervalSeconds": 10,
        "history": 0,
        "metric": "val_f1/macro",
        "best": {"cost": "min", "val_f1/macro": "max"},
        "tensorboard": True,
    },
}


#: Each field of `spec.training` at least once, spread over four jobs because most of its objects are one of several.
DECLARATIVE: dict[str, Spec] = {
    "images": {
        "training": {
            "source": {"inline": {"files": {"my_model.py": "def build():\n    ...\n"}}},
            "dataset": {"images": {"path": "/data/train", "size": [32, 48], "channels": 1}},
            "validation": {"dataset": {"images": {"path": "/data/test", "size": [32, 48]}}, "everySteps": 100},
            "pipeline": {
                "shuffle": False,
                "cache": "memory",
                "prefetch": 0,
                "normalize": {"scale": 0.5, "mean": [0.1, 0], "std": [2, 1.5]},
                "oneHot": 10,
                "augment": [
                    {"flip": "both"}, {"crop": {"padding": 4}}, {"rotate": {"degrees": 15}},
                    {"brightness": {"delta": 0.2}},
                ],
            },
            "model": {"builder": {"function": "my_model:build", "arguments": {"units": [1, {"deep": None}]}}},
            "optimizer": {"SGD": {"learning_rate": {"CosineDecay": {"decay_steps": 9}}, "momentum": 0.9}},
            "loss": {"CategoricalCrossentropy": {"from_logits": True}},
            "metrics": ["accuracy", {"F1Score": {"average": "macro"}}],
            "classWeights": {"0": 1, "12": 2.5},
            "epochs": 3,
            "globalBatchSize": 96,
            "gradientClipping": {"globalNorm": 1},
            "gradientAccumulation": 2,
            "precision": "bfloat16",
            "seed": 7,
        },
        "checkpoint": {"volume": {"persistentVolumeClaim": {"claimName": "c"}}, "everySeconds": 30},
        "output": {"volume": {"subPath": "a/b", "emptyDir": {}}},
        "stopWhen": {"metric": "val_loss", "patience": 3},
        "evaluator": {},
    },
    "tfrecord": {
        "training": {
            "source": {"configMap": {"name": "code"}},
            "dataset": {
                "tfrecord": {
                    "path": "s3://bucket/*.tfrecord",
                    "compression": "gzip",
                    "features": {
                        "image": {"type": "bytes", "decode": "image", "channels": 3},
                        "raw": {"type": "bytes", "shape": [28, 28], "decode": "raw", "dtype": "float32"},
                    },
                    "input": "image",
                    "label": "label",
                    "sampleWeight": "w",
                    "examples": 100,
                }
            },
            "validation": {"split": 0.2},
            "model": {"preset": {"CNN": {"classes": 10}}},
            "loss": "mse",
            "gradientClipping": {"norm": 1},
            "steps": 1000,
        }
    },
    "csv": {
        "training": {
            "dataset": {
                "csv": {
                    "path": "/data/*.csv",
                    "label": "price",
                    "features": ["a", "b"],
                    "sampleWeight": "w",
                    "delimiter": ";",
                    "header": False,
                }
            },
            "validation": {"dataset": {"npz": {"path": "/data/a.npz", "input": "a", "label": "b", "sampleWeight": "c"}}},
            "model": {"json": "{}"},
            "loss": "mse",
            "gradientClipping": {"value": 1},
            "epochs": 1,
        }
    },
    "builtin": {
        "training": {
            "dataset": {
                "builtin": {"name": "linear-regression", "examples": 5, "slope": 2, "intercept": -1.5, "noise": 0}
            },
            "validation": {"dataset": {"builder": {"function": "a.b:c", "arguments": {}}}},
            "model": {"layers": ["Flatten", {"Dense": {"units": 1}}]},
            "loss": "mse",
            "epochs": 1,
        }
    },
    "mnist": {
        "training": {
            "dataset": {"builtin": {"name": "mnist"}},
            "validation": {"dataset": {"builtin": {"name": "mnist", "part": "test"}}},
            "model": {"preset": "MLP"},
            "loss": "sparse_categorical_crossentropy",
            "epochs": 1,
        }
    },
}  # fmt: skip


def with_training(**fields: Any) -> Spec:
    """Return a spec with the least declarative training and these fields of it; None removes one."""
    training = {**DECLARATIVE["mnist"]["training"], **fields}
    return {"training": {name: value for name, value in training.items() if value is not None}}


@dataclass(frozen=True)
class Good:
    """A spec that both judges accept."""

    id: str
    spec: Spec


@dataclass(frozen=True)
class Bad:
    """A spec that both refuse, naming `field`; `says` is in Python's sentence."""

    id: str
    spec: Spec
    field: str
    says: str


def with_program(**fields: Any) -> Spec:
    """Return a spec with a program and these fields of the spec."""
    return {"program": {"command": ["true"]}, **fields}


def with_volume(**fields: Any) -> Spec:
    """Return a spec with one volume at /data."""
    return with_program(volumes=[{"mountPath": "/data", **fields}])


def with_pool(**fields: Any) -> Spec:
    """Return a spec with a node pool of these fields."""
    return with_program(nodePool=fields)


def with_files(files: Any) -> Spec:
    """Return a spec whose program has these files."""
    return {"program": {"source": {"inline": {"files": files}}}}


def with_env(*variables: Spec) -> Spec:
    """Return a spec whose program has this environment."""
    return {"program": {"env": list(variables)}}


def with_rules(*rules: Spec) -> Spec:
    """Return a spec with these rules about failures."""
    return with_program(failurePolicy={"rules": list(rules)})


def _changed(**fields: Any) -> Spec:
    return {**copy.deepcopy(EVERYTHING), **fields}


GOOD = (
    Good("everything", EVERYTHING),
    Good("least", {"program": {}}),
    Good("source-config-map", _changed(program={"source": {"configMap": {"name": "code"}}})),
    *(Good(f"training-{name}", spec) for name, spec in DECLARATIVE.items()),
    Good("training-nulls", with_training(metrics=None) | {"checkpoint": {"path": "/c", "volume": None}}),
    Good("workers-empty", with_program(workers={})),
    Good("workers-most", with_program(workers={"replicas": 999})),
    Good("nulls-are-absent", with_program(image=None, workers=None, nodePool={"accelerator": None})),
    Good("accelerator-default", with_pool(accelerator={})),
    Good("empty-lists", with_program(volumes=[], imagePullSecrets=[], resources={"limits": {}})),
    Good("quantity-zero", with_program(resources={"requests": {"cpu": 0, "memory": "0"}})),
    Good(
        "quantity-forms",
        with_program(
            resources={
                "requests": {"cpu": ".5", "memory": "+1.k", "ephemeral-storage": "1E"},
                "limits": {"example.com/d": "1e3"},
            }
        ),
    ),
    Good("hidden-names", with_program(volumes=[{"mountPath": "/.a/b..c/d.", "emptyDir": {}}])),
    Good("files-nested", with_files({"a/b/c-d_e.1.py": "x = 'äöü {{ }}'\n"})),
    Good("env-like-ours", with_env({"name": "TRAININGJOB"}, {"name": "TF_CONFIG_PATH"}, {"name": "_x.y-z"})),
    Good(
        "spread-both-ways",
        with_pool(
            topologySpread=[{"topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"}, {"topologyKey": "zone"}]
        ),
    ),
    Good("suspended", with_program(suspend=True)),
    Good("managed-by-a-queue", with_program(managedBy="kueue.x-k8s.io/multikueue")),
    Good("elastic-none-but-the-chief", with_program(workers={"replicas": 2}, elastic={"minWorkers": 0})),
    Good("elastic-all", with_program(workers={"replicas": 2}, elastic={"minWorkers": 2})),
    Good("elastic-of-the-chief-alone", with_program(elastic={"minWorkers": 0})),
    Good("ttl-at-once", with_program(runPolicy={"ttlSecondsAfterFinished": 0})),
    Good("deadlines-longest", with_program(runPolicy={"activeDeadlineSeconds": 31_536_000})),
    Good("no-failures", with_program(failurePolicy={"backoffLimit": 0, "rules": []})),
    *(Good(f"clean-pods-{which}", with_program(runPolicy={"cleanPodPolicy": which})) for which in ("None", "All")),
)

#: What goes wrong, takes too long, or is over.
BAD_POLICIES = (
    Bad("suspend-text", with_program(suspend="true"), "spec.suspend", "true or false"),
    Bad("managed-by-nobody", with_program(managedBy=""), "spec.managedBy", "at least 1 character"),
    Bad("managed-by-no-domain", with_program(managedBy="kueue"), "spec.managedBy", "must match"),
    Bad("managed-by-long", with_program(managedBy="a/" + "b" * 62), "spec.managedBy", "at most 63"),
    Bad(
        "elastic-more-than-all",
        with_program(workers={"replicas": 2}, elastic={"minWorkers": 3}),
        "spec.elastic.minWorkers",
        "more than workers.replicas",
    ),
    Bad("elastic-negative", with_program(elastic={"minWorkers": -1}), "spec.elastic.minWorkers", "at least 0"),
    Bad("elastic-empty", with_program(elastic={}), "spec.elastic.minWorkers", "required"),
    Bad(
        "elastic-no-wait",
        with_program(elastic={"minWorkers": 0, "waitSeconds": 0}),
        "spec.elastic.waitSeconds",
        "at least 1",
    ),
    *(
        Bad(f"{field}-none", with_program(runPolicy={field: 0}), f"spec.runPolicy.{field}", "at least 1")
        for field in ("startupDeadlineSeconds", "activeDeadlineSeconds")
    ),
    Bad(
        "deadline-absurd",
        with_program(runPolicy={"activeDeadlineSeconds": 31_536_001}),
        "spec.runPolicy.activeDeadlineSeconds",
        "at most 31",
    ),
    Bad(
        "ttl-negative",
        with_program(runPolicy={"ttlSecondsAfterFinished": -1}),
        "spec.runPolicy.ttlSecondsAfterFinished",
        "at least 0",
    ),
    Bad(
        "clean-pods-lower-case",
        with_program(runPolicy={"cleanPodPolicy": "all"}),
        "spec.runPolicy.cleanPodPolicy",
        "'All'",
    ),
    Bad(
        "backoff-negative",
        with_program(failurePolicy={"backoffLimit": -1}),
        "spec.failurePolicy.backoffLimit",
        "at least 0",
    ),
    Bad(
        "stall-at-once",
        with_program(failurePolicy={"stallSeconds": 0}),
        "spec.failurePolicy.stallSeconds",
        "at least 1",
    ),
    Bad(
        "rule-of-nothing",
        with_rules({"action": "Fail"}),
        "spec.failurePolicy.rules[0]",
        "exactly one of exitCodes, reasons",
    ),
    Bad(
        "rule-of-both",
        with_rules({"action": "Fail", "exitCodes": [1], "reasons": ["OOMKilled"]}),
        "spec.failurePolicy.rules[0]",
        "exactly one of exitCodes, reasons",
    ),
    Bad(
        "rule-without-action",
        with_rules({"exitCodes": [1]}),
        "spec.failurePolicy.rules[0].action",
        "required",
    ),
    Bad(
        "rule-code-zero",
        with_rules({"exitCodes": [0], "action": "Fail"}),
        "spec.failurePolicy.rules[0].exitCodes[0]",
        "at least 1",
    ),
    Bad(
        "rule-code-256",
        with_rules({"exitCodes": [1, 256], "action": "Fail"}),
        "spec.failurePolicy.rules[0].exitCodes[1]",
        "at most 255",
    ),
    Bad(
        "rule-reason-lower-case",
        with_rules({"reasons": ["oom killed"], "action": "Fail"}),
        "spec.failurePolicy.rules[0].reasons[0]",
        "must match",
    ),
    *(
        Bad(
            f"rule-ignores-{name}",
            with_rules({"reasons": ["Stalled"], "action": "Ignore"}, {"action": "Ignore", **fits}),
            "spec.failurePolicy.rules[1].action",
            "for the reason Stalled alone",
        )
        for name, fits in (
            ("a-failure", {"reasons": ["OOMKilled"]}),
            ("more-than-stalls", {"reasons": ["Stalled", "OOMKilled"]}),
            ("a-code", {"exitCodes": [1]}),
        )
    ),
)

BAD = (
    *BAD_POLICIES,
    Bad("neither-program-nor-training", {}, "spec", "exactly one of program, training"),
    Bad("both-program-and-training", {"program": {}, **with_training()}, "spec", "exactly one of program, training"),
    Bad("unknown-field", with_program(wokers={"replicas": 1}), "spec.wokers", "did you mean workers?"),
    Bad(
        "unknown-field-deep", with_pool(accelerator={"counts": 1}), "spec.nodePool.accelerator.counts", "mean count?"
    ),
    Bad(
        "unknown-field-snake",
        with_pool(node_selector={}),
        "spec.nodePool.node_selector",
        "did you mean nodeSelector?",
    ),
    Bad("unknown-field-in-list", with_volume(emptyDir={}, mountpath="/b"), "spec.volumes[0].mountpath", "mountPath?"),
    Bad("unknown-nothing-near", with_program(zzz=1), "spec.zzz", "there are: suspend, managedBy, image"),
    Bad(
        "elastic-more-than-all",
        with_program(workers={"replicas": 2}, elastic={"minWorkers": 3}),
        "spec.elastic.minWorkers",
        "must not be more than workers.replicas",
    ),
    Bad(
        "elastic-wait-zero",
        with_program(elastic={"minWorkers": 0, "waitSeconds": 0}),
        "spec.elastic.waitSeconds",
        "1",
    ),
    Bad("managed-by-nobody", with_program(managedBy="me"), "spec.managedBy", ""),
    Bad(
        "rule-of-nothing",
        with_program(failurePolicy={"rules": [{"action": "Fail"}]}),
        "spec.failurePolicy.rules[0]",
        "exactly one of exitCodes, reasons",
    ),
    Bad(
        "rule-of-both",
        with_program(failurePolicy={"rules": [{"exitCodes": [1], "reasons": ["Evicted"], "action": "Fail"}]}),
        "spec.failurePolicy.rules[0]",
        "exactly one of exitCodes, reasons",
    ),
    Bad(
        "rule-for-success",
        with_program(failurePolicy={"rules": [{"exitCodes": [0], "action": "Fail"}]}),
        "spec.failurePolicy.rules[0].exitCodes[0]",
        "at least 1",
    ),
    Bad(
        "rule-ignores-an-exit",
        with_program(failurePolicy={"rules": [{"exitCodes": [1], "action": "Ignore"}]}),
        "spec.failurePolicy.rules[0].action",
        "Ignore is for the reason Stalled alone",
    ),
    Bad(
        "rule-ignores-a-crash",
        with_program(failurePolicy={"rules": [{"reasons": ["Stalled", "OOMKilled"], "action": "Ignore"}]}),
        "spec.failurePolicy.rules[0].action",
        "Ignore is for the reason Stalled alone",
    ),
    Bad(
        "rule-reason-in-words",
        with_program(failurePolicy={"rules": [{"reasons": ["out of memory"], "action": "Fail"}]}),
        "spec.failurePolicy.rules[0].reasons[0]",
        "",
    ),
    Bad("backoff-negative", with_program(failurePolicy={"backoffLimit": -1}), "spec.failurePolicy.backoffLimit", "0"),
    Bad(
        "deadline-zero",
        with_program(runPolicy={"activeDeadlineSeconds": 0}),
        "spec.runPolicy.activeDeadlineSeconds",
        "at least 1",
    ),
    Bad(
        "clean-pod-policy-unknown",
        with_program(runPolicy={"cleanPodPolicy": "Some"}),
        "spec.runPolicy.cleanPodPolicy",
        "",
    ),
    Bad("workers-negative", with_program(workers={"replicas": -1}), "spec.workers.replicas", "at least 0"),
    Bad("workers-absurd", with_program(workers={"replicas": 1000}), "spec.workers.replicas", "at most 999"),
    Bad("workers-huge", with_program(workers={"replicas": 2**63 - 1}), "spec.workers.replicas", "at most 999"),
    Bad("workers-text", with_program(workers={"replicas": "3"}), "spec.workers.replicas", "whole number"),
    Bad("workers-half", with_program(workers={"replicas": 1.5}), "spec.workers.replicas", "whole number"),
    Bad("workers-bool", with_program(workers={"replicas": True}), "spec.workers.replicas", "whole number"),
    Bad("workers-bare", with_program(workers=3), "spec.workers", "must be an object"),
    Bad("image-empty", with_program(image=""), "spec.image", "at least 1 character"),
    Bad("image-blank", with_program(image="a b"), "spec.image", "must match"),
    Bad("image-number", with_program(image=1), "spec.image", "put it in quotes"),
    Bad("pull-policy", with_program(imagePullPolicy="Sometimes"), "spec.imagePullPolicy", "'IfNotPresent'"),
    Bad("pull-secret-twice", with_program(imagePullSecrets=["a", "a"]), "spec.imagePullSecrets[1]", "there twice"),
    Bad("pull-secret-object", with_program(imagePullSecrets=[{"name": "a"}]), "spec.imagePullSecrets[0]", "a text"),
    Bad("accelerators-none", with_pool(accelerator={"count": 0}), "spec.nodePool.accelerator.count", "at least 1"),
    Bad("accelerators-absurd", with_pool(accelerator={"count": 65}), "spec.nodePool.accelerator.count", "at most 64"),
    Bad("pool-name", with_pool(name="A_100"), "spec.nodePool.name", "must match"),
    Bad("selector-value", with_pool(nodeSelector={"a": "b c"}), "spec.nodePool.nodeSelector.a", "must match"),
    Bad("selector-bool", with_pool(nodeSelector={"gpu": True}), "spec.nodePool.nodeSelector.gpu", "put it in quotes"),
    Bad("affinity-list", with_pool(affinity=[]), "spec.nodePool.affinity", "must be an object"),
    Bad("toleration-no-key", with_pool(tolerations=[{"value": "x"}]), "spec.nodePool.tolerations[0]", "needs a key"),
    Bad(
        "toleration-value",
        with_pool(tolerations=[{"key": "a", "operator": "Exists", "value": "b"}]),
        "spec.nodePool.tolerations[0]",
        "takes any value",
    ),
    Bad(
        "toleration-seconds",
        with_pool(tolerations=[{"key": "a", "effect": "NoSchedule", "tolerationSeconds": 1}]),
        "spec.nodePool.tolerations[0]",
        "needs effect NoExecute",
    ),
    Bad(
        "toleration-effect",
        with_pool(tolerations=[{"key": "a", "effect": "No"}]),
        "spec.nodePool.tolerations[0].effect",
        "must be one of",
    ),
    Bad(
        "spread-no-key", with_pool(topologySpread=[{}]), "spec.nodePool.topologySpread[0].topologyKey", "is required"
    ),
    Bad(
        "spread-twice",
        with_pool(topologySpread=[{"topologyKey": "zone"}, {"topologyKey": "zone"}]),
        "spec.nodePool.topologySpread[1]",
        "earlier item",
    ),
    Bad(
        "spread-skew",
        with_pool(topologySpread=[{"topologyKey": "zone", "maxSkew": 0}]),
        "spec.nodePool.topologySpread[0].maxSkew",
        "at least 1",
    ),
    Bad(
        "quantity-unit",
        with_program(resources={"limits": {"memory": "1GB"}}),
        "spec.resources.limits.memory",
        "like 2, 500m or 1Gi",
    ),
    Bad(
        "quantity-negative",
        with_program(resources={"requests": {"cpu": -1}}),
        "spec.resources.requests.cpu",
        "at least 0",
    ),
    Bad(
        "quantity-negative-text",
        with_program(resources={"requests": {"cpu": "-1"}}),
        "spec.resources.requests.cpu",
        "at least 0",
    ),
    Bad("quantity-float", with_program(resources={"limits": {"cpu": 1.5}}), "spec.resources.limits.cpu", "500m"),
    Bad("quantity-bool", with_program(resources={"limits": {"cpu": True}}), "spec.resources.limits.cpu", "500m"),
    Bad(
        "resource-typo",
        with_program(resources={"limits": {"memroy": "1Gi"}}),
        "spec.resources.limits",
        "resources are cpu",
    ),
    Bad(
        "accelerator-bare",
        with_pool(accelerator={"resource": "gpu"}),
        "spec.nodePool.accelerator.resource",
        "like nvidia.com/gpu",
    ),
    Bad("quantity-long", with_program(resources={"limits": {"cpu": "1" * 33}}), "spec.resources.limits.cpu", "500m"),
    Bad("volume-no-source", with_volume(), "spec.volumes[0]", "exactly one of persistentVolumeClaim"),
    Bad(
        "volume-two-sources",
        with_volume(emptyDir={}, nfs={"server": "a", "path": "/"}),
        "spec.volumes[0]",
        "exactly one of",
    ),
    Bad(
        "volume-no-path",
        with_program(volumes=[{"emptyDir": {}}]),
        "spec.volumes[0].mountPath",
        "is required: Where the",
    ),
    Bad("volume-null-path", with_volume(emptyDir={}, mountPath=None), "spec.volumes[0].mountPath", "is required"),
    Bad(
        "volume-twice",
        with_program(volumes=[{"mountPath": "/a", "emptyDir": {}}, {"mountPath": "/a", "emptyDir": {}}]),
        "spec.volumes[1]",
        "mountPath is that of an earlier item",
    ),
    *(
        Bad(
            f"mount-reserved{path.replace('/', '-')}",
            with_volume(emptyDir={}, mountPath=path),
            "spec.volumes[0].mountPath",
            "choose another",
        )
        for path in ("/workspace", "/tmp", "/dev/shm", "/var/run/trainingjob")
    ),
    *(
        Bad(
            f"mount-path-{number}",
            with_volume(emptyDir={}, mountPath=path),
            "spec.volumes[0].mountPath",
            "like /data",
        )
        for number, path in enumerate(("data", "/", "", "/data/", "//data", "/a/../tmp", "/./tmp", "/..a", "/a:b"))
    ),
    *(
        Bad(
            f"sub-path-{number}", with_volume(emptyDir={}, subPath=path), "spec.volumes[0].subPath", "a relative path"
        )
        for number, path in enumerate(("/a", "../a", "a/../b", "a//b", "..a", ""))
    ),
    Bad(
        "claim-name",
        with_volume(persistentVolumeClaim={}),
        "spec.volumes[0].persistentVolumeClaim.claimName",
        "required",
    ),
    Bad("size-limit", with_volume(emptyDir={"sizeLimit": "big"}), "spec.volumes[0].emptyDir.sizeLimit", "500m"),
    Bad(
        "file-mode",
        with_volume(configMap={"name": "a", "items": [{"key": "a", "path": "b", "mode": 0o1000}]}),
        "spec.volumes[0].configMap.items[0].mode",
        "at most 511",
    ),
    Bad(
        "host-path-type",
        with_volume(hostPath={"path": "/a", "type": "Socket"}),
        "spec.volumes[0].hostPath.type",
        "one of",
    ),
    Bad("csi-text", with_volume(csi="driver"), "spec.volumes[0].csi", "must be an object"),
    Bad(
        "label-value",
        with_program(podTemplate={"metadata": {"labels": {"a": "b/c"}}}),
        "spec.podTemplate.metadata.labels.a",
        "must match",
    ),
    Bad("command-text", {"program": {"command": "python main.py"}}, "spec.program.command", "must be a list"),
    Bad("command-empty", {"program": {"command": []}}, "spec.program.command", "at least 1"),
    Bad("command-number", {"program": {"command": ["sleep", 1]}}, "spec.program.command[1]", "put it in quotes"),
    Bad(
        "env-config",
        with_env({"name": "A"}, {"name": "TF_CONFIG"}),
        "spec.program.env[1].name",
        "set by the launcher",
    ),
    Bad("env-ours", with_env({"name": "TRAININGJOB_X"}), "spec.program.env[0].name", "choose another name"),
    Bad("env-twice", with_env({"name": "A"}, {"name": "A", "value": "b"}), "spec.program.env[1]", "name is that of"),
    Bad("env-name", with_env({"name": "1A"}), "spec.program.env[0].name", "must match"),
    Bad("env-number", with_env({"name": "A", "value": 1}), "spec.program.env[0].value", "put it in quotes"),
    Bad("env-map", {"program": {"env": {"A": "b"}}}, "spec.program.env", "must be a list"),
    Bad("working-dir", {"program": {"workingDir": "app"}}, "spec.program.workingDir", "an absolute path"),
    Bad("source-none", {"program": {"source": {}}}, "spec.program.source", "exactly one of configMap, inline"),
    Bad(
        "source-both",
        {"program": {"source": {"configMap": {"name": "a"}, "inline": {"files": {"a": "b"}}}}},
        "spec.program.source",
        "exactly one of configMap, inline",
    ),
    Bad("files-none", with_files({}), "spec.program.source.inline.files", "at least 1"),
    Bad(
        "files-many",
        with_files({f"f{n}.py": "" for n in range(33)}),
        "spec.program.source.inline.files",
        "at most 32",
    ),
    *(
        Bad(
            f"file-name-{number}",
            with_files({name: ""}),
            "spec.program.source.inline.files",
            "relative paths like main.py",
        )
        for number, name in enumerate(("../x.py", "/x.py", "a//b", "a/", ".hidden", "a b.py", "x\n", "a" * 201))
    ),
    Bad(
        "file-long", with_files({"main.py": "x" * 65537}), "spec.program.source.inline.files.main.py", "at most 65536"
    ),
    Bad("training-text", {"training": "cnn"}, "spec.training", "must be an object"),
    Bad("training-without-end", with_training(epochs=None), "spec.training", "exactly one of epochs, steps"),
    Bad("training-two-ends", with_training(steps=1), "spec.training", "exactly one of epochs, steps"),
    Bad("training-no-loss", with_training(loss=None), "spec.training.loss", "is required"),
    Bad("dataset-none", with_training(dataset={}), "spec.training.dataset", "exactly one of builtin, npz"),
    Bad(
        "dataset-unknown",
        with_training(dataset={"nzp": {"path": "/a"}}),
        "spec.training.dataset.nzp",
        "did you mean npz?",
    ),
    Bad(
        "dataset-path",
        with_training(dataset={"npz": {"path": "data.npz"}}),
        "spec.training.dataset.npz.path",
        "like /data/train",
    ),
    Bad(
        "mnist-has-no-slope",
        with_training(dataset={"builtin": {"name": "mnist", "slope": 2}}),
        "spec.training.dataset.builtin",
        "mnist has part",
    ),
    Bad(
        "regression-has-no-part",
        with_training(dataset={"builtin": {"name": "linear-regression", "part": "test"}}),
        "spec.training.dataset.builtin",
        "part is of mnist",
    ),
    Bad(
        "builder-function",
        with_training(model={"builder": {"function": "my_model.build"}}),
        "spec.training.model.builder.function",
        "like my_data:load",
    ),
    Bad(
        "validation-both",
        with_training(validation={"split": 0.1, "dataset": {"builtin": {"name": "mnist"}}}),
        "spec.training.validation",
        "exactly one of split, dataset",
    ),
    Bad("validation-all", with_training(validation={"split": 1}), "spec.training.validation.split", "less than 1"),
    Bad(
        "augment-two",
        with_training(pipeline={"augment": [{"flip": "both", "crop": {"padding": 1}}]}),
        "spec.training.pipeline.augment[0]",
        "exactly one of flip, crop, rotate, brightness",
    ),
    Bad(
        "class-weights",
        with_training(classWeights={"cat": 1}),
        "spec.training.classWeights",
        "class numbers in quotes",
    ),
    Bad(
        "clipping-two",
        with_training(gradientClipping={"norm": 1, "value": 1}),
        "spec.training.gradientClipping",
        "exactly one of norm, globalNorm, value",
    ),
    Bad("batch", with_training(globalBatchSize=0), "spec.training.globalBatchSize", "at least 1"),
    Bad("precision", with_training(precision="float8"), "spec.training.precision", "must be one of"),
    Bad("checkpoint-nowhere", with_training() | {"checkpoint": {}}, "spec.checkpoint", "exactly one of path, volume"),
    Bad(
        "checkpoint-two-rhythms",
        with_training() | {"checkpoint": {"path": "/c", "everySteps": 1, "everySeconds": 1}},
        "spec.checkpoint",
        "at most one of everySteps, everySeconds",
    ),
    Bad("stop-never", with_training() | {"stopWhen": {"metric": "loss"}}, "spec.stopWhen", "reaches, patience"),
    Bad("evaluator-of-nothing", with_training() | {"evaluator": {}}, "spec.evaluator", "set spec.checkpoint too"),
    Bad("communication", with_program(communication="gloo"), "spec.communication", "must be one of"),
    Bad("interval", with_program(reporting={"intervalSeconds": 0}), "spec.reporting.intervalSeconds", "at least 1"),
    Bad("history-long", with_program(reporting={"history": 501}), "spec.reporting.history", "at most 500"),
    Bad("metric-name", with_program(reporting={"metric": "val f1"}), "spec.reporting.metric", "must match"),
    Bad("best-way", with_program(reporting={"best": {"cost": "low"}}), "spec.reporting.best.cost", "'min'"),
    Bad(
        "tensorboard-nowhere",
        with_program(reporting={"tensorboard": True}),
        "spec.reporting.tensorboard",
        "set spec.checkpoint too",
    ),
)

#: Names that both refuse, and one word of why.
BAD_NAMES = (("a" * 53, "52"), ("mnist.cnn", "DNS label"), ("1st", "DNS label"))
GOOD_NAMES = ("a", "mnist-cnn", "a" * 52, "x1")
