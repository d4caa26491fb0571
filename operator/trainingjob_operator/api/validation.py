"""Reading a spec that anyone may have written: a model, or what is wrong with it in words for people.

Nothing in here raises, whatever JSON comes in. Paths are those that an API server names: `spec.program.env[2].name`.
"""

import difflib
import json
import types
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from trainingjob_operator.api import data as api_data
from trainingjob_operator.api import types as api_types
from trainingjob_operator.api.v1alpha1 import OBJECT_RULES, NodePool, TrainingJobSpec

M = TypeVar("M", bound=BaseModel)
Path = Sequence[str | int]

MAX_VALUE = 60
#: More problems than these help nobody; a condition's message has 32 KiB.
MAX_PROBLEMS = 20


@dataclass(frozen=True)
class Problem:
    """One thing wrong with a job."""

    field: str
    """Where, like `spec.program.env[2].name`."""
    value: str
    """What is there, shortened; empty when nothing is."""
    message: str
    """What is wrong and what to write instead, without a full stop."""

    def __str__(self) -> str:
        got = f" (it is {self.value})" if self.value else ""
        return f"{self.field}: {self.message}{got}"


def parse_spec(spec: object) -> tuple[TrainingJobSpec | None, list[Problem]]:
    """Return the model of a job's `spec` and no problems, or None and at least one problem."""
    return _parse(TrainingJobSpec, spec, "spec")


def parse_node_pool(profile: object, field: str) -> tuple[NodePool | None, list[Problem]]:
    """Return a node pool profile, like `parse_spec`; `field` is what problems call it, like `nodePools.a100`."""
    return _parse(NodePool, profile, field)


def check_metadata(metadata: object) -> list[Problem]:
    """Return what is wrong with a job's `metadata`: its name becomes host names."""
    name = metadata.get("name") if isinstance(metadata, dict) else None
    if not isinstance(name, str):
        return [Problem("metadata.name", "", "is required")]
    broken = (rule for rule in OBJECT_RULES if rule.holds is not None and not rule.holds(name))
    return [Problem("metadata.name", shorten(name), rule.message) for rule in broken]


def shorten(value: object) -> str:
    """Return a value as a person would recognise it, in at most MAX_VALUE characters; never deeper than one level."""
    if isinstance(value, BaseModel):
        value = dict.fromkeys(value.model_dump(by_alias=True, exclude_unset=True))
    if isinstance(value, dict):
        text = "an object with " + ", ".join(map(str, value)) if value else "an empty object"
    elif isinstance(value, list):
        text = f"a list of {len(value)}" if value else "an empty list"
    elif value is None or isinstance(value, bool | int | float | str):
        text = json.dumps(value, ensure_ascii=False)
    else:
        text = type(value).__name__
    return text if len(text) <= MAX_VALUE else text[: MAX_VALUE - 3] + "..."


def _parse(model: type[M], value: object, root: str) -> tuple[M | None, list[Problem]]:
    try:
        return model.model_validate(value, strict=True, by_name=False, by_alias=True), []
    except ValidationError as error:
        problems = dict.fromkeys(_problem(model, root, details) for details in error.errors(include_url=False))
        return None, list(problems)[:MAX_PROBLEMS]


def _problem(model: type[BaseModel], root: str, details: ErrorDetails) -> Problem:
    kind, path = details["type"], details["loc"]
    if kind == "missing":
        return Problem(_field(root, path), "", f"is required{_documented(model, path)}")
    if kind == "extra_forbidden":
        return Problem(_field(root, path), shorten(details["input"]), _unknown(model, path))
    return Problem(_field(root, path), shorten(details["input"]), _sentence(details))


def _field(root: str, path: Path) -> str:
    return root + "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path if step != "[key]")


_PATTERNS = {
    api_types.EXTENDED_RESOURCE_PATTERN: "must be a resource with its domain, like nvidia.com/gpu",
    api_types.ABSOLUTE_PATH_PATTERN: "must be an absolute path without . and .. and :, like /data",
    api_types.MOUNT_PATH_PATTERN: "must be an absolute path below /, without . and .. and :, like /data",
    api_data.DATA_PATH_PATTERN: "must be an absolute path like /data/train, or an address like gs://bucket/train",
    api_data.FUNCTION_PATTERN: "must be a module and a function, like my_data:load",
    api_types.RELATIVE_PATH_PATTERN: "must be a relative path without . and .. and :, like train/images",
}

_SENTENCES = {
    "string_type": "must be a text: put it in quotes",
    "bool_type": "must be true or false",
    "dict_type": "must be an object",
    "model_type": "must be an object",
    "model_attributes_type": "must be an object",
    "list_type": "must be a list",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "int_parsing_size": "must be a whole number of at most 64 bits",
    "float_type": "must be a number",
    "finite_number": "must be a finite number",
    "greater_than_equal": "must be at least {ge}",
    "less_than_equal": "must be at most {le}",
    "greater_than": "must be more than {gt}",
    "less_than": "must be less than {lt}",
    "string_too_long": "must have at most {max_length} characters",
    "string_too_short": "must have at least {min_length} characters",
    "too_long": "must have at most {max_length} items, and has {actual_length}",
    "too_short": "must have at least {min_length} items, and has {actual_length}",
    "literal_error": "must be one of {expected}",
    "string_unicode": "must be valid Unicode",
}


def _sentence(details: ErrorDetails) -> str:
    context = details.get("ctx", {})
    if details["type"] == "string_pattern_mismatch":
        pattern = str(context.get("pattern"))
        return _PATTERNS.get(pattern, f"must match {pattern}")
    sentence = _SENTENCES.get(details["type"])
    return sentence.format_map(context) if sentence else details["msg"]


def _unknown(model: type[BaseModel], path: Path) -> str:
    parent = _model_at(model, path[:-1])
    known = [info.alias or name for name, info in parent.model_fields.items()] if parent else []
    near = difflib.get_close_matches(str(path[-1]), known, n=1, cutoff=0.6)
    folded = [name for name in known if name.casefold() == str(path[-1]).replace("_", "").casefold()]
    if folded or near:
        return f"is not a field; did you mean {(folded or near)[0]}?"
    return f"is not a field; there are: {', '.join(known)}"


def _documented(model: type[BaseModel], path: Path) -> str:
    """Return the first sentence of what a field's documentation says, for a field that is missing."""
    parent = _model_at(model, path[:-1])
    for name, info in parent.model_fields.items() if parent else ():
        if (info.alias or name) == path[-1] and info.description:
            return ": " + info.description.split(". ")[0].split(".\n")[0].replace("\n", " ").removesuffix(".")
    return ""


def _model_at(model: type[BaseModel], path: Path) -> type[BaseModel] | None:
    """Return the model at a path, or None where there is none."""
    here: Any = model
    for step in path:
        if isinstance(here, type) and issubclass(here, BaseModel):
            fields = {info.alias or name: info.annotation for name, info in here.model_fields.items()}
            here = _plain(fields.get(str(step)))
        elif get_origin(here) in (list, dict):
            here = _plain(get_args(here)[-1])
        else:
            return None
    return here if isinstance(here, type) and issubclass(here, BaseModel) else None


def _plain(annotation: Any) -> Any:
    """Return an annotation without Annotated and without None."""
    while True:
        if get_origin(annotation) is Annotated:
            annotation = get_args(annotation)[0]
        elif get_origin(annotation) in (Union, types.UnionType):
            annotation = next(arg for arg in get_args(annotation) if arg is not type(None))
        else:
            return annotation
