"""The CustomResourceDefinition of TrainingJob, made from the models: an object, YAML, a chart template."""

import difflib
from pathlib import Path
from typing import Any, Final

import yaml

from trainingjob_operator.api import names
from trainingjob_operator.api.bounds import Schema
from trainingjob_operator.api.schema import structural_schema
from trainingjob_operator.api.status import TrainingJobStatus
from trainingjob_operator.api.v1alpha1 import OBJECT_RULES, TrainingJobSpec

CRD_NAME: Final = f"{names.PLURAL}.{names.GROUP}"
#: Where the chart keeps the generated template, from the repository's root.
CHART_TEMPLATE: Final = "charts/trainingjob-operator/templates/crd.yaml"
#: The command that writes the generated files again.
REGENERATE: Final = "make generate"

_HEADER: Final = f"""\
# Generated from the models in operator/trainingjob_operator/api. Do not edit: change the models and run
#   {REGENERATE}
"""
#: What `kubectl get` shows: (heading, JSONPath, priority); 1 is for -o wide. Their texts are in status.display.
_COLUMNS: Final = (
    ("Phase", ".status.phase", 0),
    ("Members", ".status.display.members", 0),
    ("Progress", ".status.display.progress", 0),
    ("Epoch", ".status.display.epoch", 0),
    ("Loss", ".status.display.loss", 0),
    ("Metric", ".status.display.metric", 0),
    ("Speed", ".status.display.speed", 0),
    ("ETA", ".status.display.eta", 0),
    ("Restarts", ".status.restarts.total", 0),
    ("Reason", ".status.display.reason", 1),
    ("Node", ".status.display.node", 1),
    ("Generation", ".status.training.generation", 1),
    ("Goodput", ".status.display.goodput", 1),
)


def object_schema() -> Schema:
    """Return the structural schema of a whole TrainingJob."""
    return {
        "description": "A TensorFlow training on pods that live and die as one: a chief, and workers beside it.",
        "type": "object",
        "x-kubernetes-validations": [rule.schema() for rule in OBJECT_RULES],
        "required": ["spec"],
        "properties": {
            "apiVersion": {"description": f"{names.API_VERSION}.", "type": "string"},
            "kind": {"description": f"{names.KIND}.", "type": "string"},
            # an API server knows the rest; the rules above need to name this one
            "metadata": {"type": "object", "properties": {"name": {"type": "string"}}},
            "spec": structural_schema(TrainingJobSpec, "spec"),
            # One writer writes it as a whole (decision 11); who wrote which field of it was a third of a job's bytes.
            "status": structural_schema(TrainingJobStatus, "status") | {"x-kubernetes-map-type": "atomic"},
        },
    }


def custom_resource_definition() -> dict[str, Any]:
    """Return the CustomResourceDefinition as an API server takes it."""
    columns: list[dict[str, Any]] = [
        {"name": name, "type": "string", "jsonPath": path} | ({"priority": priority} if priority else {})
        for name, path, priority in _COLUMNS
    ]
    columns.append({"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"})
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": CRD_NAME},
        "spec": {
            "group": names.GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": names.KIND,
                "listKind": f"{names.KIND}List",
                "plural": names.PLURAL,
                "singular": names.SINGULAR,
                "shortNames": [names.SHORT_NAME],
                "categories": ["all"],
            },
            "versions": [
                {
                    "name": names.VERSION,
                    "served": True,
                    "storage": True,
                    "subresources": {"status": {}},
                    "selectableFields": [{"jsonPath": ".status.phase"}],
                    "additionalPrinterColumns": columns,
                    "schema": {"openAPIV3Schema": object_schema()},
                }
            ],
        },
    }


def render_yaml() -> str:
    """Return the CRD as YAML for `kubectl apply -f`; the same models give the same text."""
    return _HEADER + _dump(custom_resource_definition())


def render_chart_template() -> str:
    """Return the CRD as a Helm template.

    It is a template because Helm never upgrades what lies in `crds/`. `.Values.crds.install` false leaves the CRD to
    somebody else; `.Values.crds.keep` true leaves it, and so all jobs, in the cluster when the chart is uninstalled.
    """
    definition = custom_resource_definition()
    head = {key: definition[key] for key in ("apiVersion", "kind")}
    return "".join(
        (
            _HEADER,
            "{{- if .Values.crds.install }}\n",
            _dump(head),
            f"metadata:\n  name: {CRD_NAME}\n",
            "  {{- if .Values.crds.keep }}\n  annotations:\n    helm.sh/resource-policy: keep\n  {{- end }}\n",
            _dump({"spec": definition["spec"]}).replace("{{", '{{ "{{" }}'),
            "{{- end }}\n",
        )
    )


def check(path: Path) -> list[str]:
    """Return what is wrong with the chart template at a path: nothing, or a message and the difference as lines."""
    wanted = render_chart_template()
    try:
        found = path.read_text(encoding="utf-8")
    except OSError as error:
        return [f"{path}: {error.strerror}; run `{REGENERATE}`"]
    if found == wanted:
        return []
    difference = difflib.unified_diff(
        found.splitlines(), wanted.splitlines(), str(path), "the models", lineterm="", n=1
    )
    return [f"{path}: is not what the models say; run `{REGENERATE}`", *difference]


class _Dumper(yaml.SafeDumper):
    """Writes texts of several lines as blocks, and never anchors: a person reads this."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002
        return True


#: PyYAML writes these texts bare, but kubectl's YAML takes them for true and false.
_BOOLEANS_OF_OTHERS = ("y", "Y", "n", "N")


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text else "'" if text in _BOOLEANS_OF_OTHERS else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)


def _dump(value: Any) -> str:
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110)
