"""A container's environment, as the kubelet makes it, with this machine's shell beneath it.

What a pod takes from Secrets and ConfigMaps comes from the job's file where that has them, and otherwise from the
variable of the same name in the shell. What the pod says of itself (fieldRef) is read from the pod.
"""

import re
from collections.abc import Mapping
from typing import Any

from trainingjob_local.job_file import Companions

#: $(NAME), or a dollar sign that is meant as one.
_REFERENCE = re.compile(r"\$(?:\$|\(([A-Za-z_][A-Za-z0-9_.-]*)\))")
_SUBSCRIPT = re.compile(r"^metadata\.(labels|annotations)\['([^']+)'\]$")
_KINDS = {"secretKeyRef": "Secret", "configMapKeyRef": "ConfigMap"}


def expand(text: str, variables: Mapping[str, str]) -> str:
    """Return a text with $(NAME) replaced where NAME is known, and $$ as one dollar sign."""

    def replace(match: re.Match[str]) -> str:
        name = match.group(1)
        return "$" if name is None else variables.get(name, match.group(0))

    return _REFERENCE.sub(replace, text)


def container_variables(
    container: Mapping[str, Any], pod: Mapping[str, Any], companions: Companions, shell: Mapping[str, str]
) -> tuple[dict[str, str], list[str]]:
    """Return what the container sets itself, in its order, and what is wrong: values that are nowhere to be found."""
    out: dict[str, str] = {}
    for source in container.get("envFrom") or ():
        out |= _all_of(source, companions)
    problems = []
    for entry in container.get("env") or ():
        name = entry["name"]
        if "valueFrom" not in entry:
            out[name] = expand(entry.get("value") or "", out)
            continue
        found = _value_from(name, entry["valueFrom"], pod, companions, shell)
        if isinstance(found, Missing):
            problems.append(found.sentence)
        elif found is not None:
            out[name] = found
    return out, problems


class Missing:
    """A value that is nowhere."""

    def __init__(self, sentence: str) -> None:
        self.sentence = sentence


def _value_from(
    name: str, source: Mapping[str, Any], pod: Mapping[str, Any], companions: Companions, shell: Mapping[str, str]
) -> str | Missing | None:
    """Return the value, what is wrong, or None for a variable that may be missing."""
    if "fieldRef" in source:
        path = source["fieldRef"].get("fieldPath", "")
        value = field_of(pod, path)
        if value is not None:
            return value
        origin, optional = f"the pod's field {path}", False
    else:
        kind = next((kind for kind in _KINDS if kind in source), None)
        if kind is None:
            origin, optional = f"{next(iter(source), 'nowhere')}", False
        else:
            reference = source[kind]
            contents = companions.get(_KINDS[kind], reference.get("name", "")) or {}
            if reference.get("key") in contents:
                return contents[reference["key"]].decode("utf-8", "replace")
            origin = f"{_KINDS[kind]} {reference.get('name')}, key {reference.get('key')}"
            optional = bool(reference.get("optional"))
    if name in shell:
        return shell[name]
    if optional:
        return None
    return Missing(f"spec: variable {name} comes from {origin}, which is not on this machine: export {name}=… first")


def field_of(pod: Mapping[str, Any], path: str) -> str | None:
    """Return a pod's field as the downward API gives it, None for one that there is not."""
    match = _SUBSCRIPT.match(path)
    if match:
        return str((pod["metadata"].get(match.group(1)) or {}).get(match.group(2), ""))
    here: Any = pod
    for part in path.split("."):
        here = here.get(part) if isinstance(here, Mapping) else None
    return here if isinstance(here, str) else None


def _all_of(source: Mapping[str, Any], companions: Companions) -> dict[str, str]:
    prefix = source.get("prefix") or ""
    out: dict[str, str] = {}
    for reference, kind in (("configMapRef", "ConfigMap"), ("secretRef", "Secret")):
        contents = companions.get(kind, (source.get(reference) or {}).get("name", ""))
        out |= {prefix + key: value.decode("utf-8", "replace") for key, value in (contents or {}).items()}
    return out


def unknown_sources(container: Mapping[str, Any], companions: Companions) -> list[str]:
    """Return the ConfigMaps and Secrets of envFrom that the job's file does not have."""
    out = []
    for source in container.get("envFrom") or ():
        for reference, kind in (("configMapRef", "ConfigMap"), ("secretRef", "Secret")):
            name = (source.get(reference) or {}).get("name")
            if name is not None and companions.get(kind, name) is None:
                out.append(f"{kind} {name}")
    return out
