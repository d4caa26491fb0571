"""The container that trains: its image, program and environment."""

from collections.abc import Sequence
from typing import Any

from trainingjob_client.tfjob import accepted
from trainingjob_client.tfjob.draft import Draft
from trainingjob_client.tfjob.notes import Level
from trainingjob_client.tfjob.reader import Reader
from trainingjob_client.tfjob.resources import read_resources

#: The port that Kubeflow's operator gives to every replica; the launcher chooses its own.
_TFJOB_PORT = "tfjob-port"


def read_container(main: Reader, draft: Draft, command: "Sequence[str] | None") -> None:
    """Take the container that trains; what a TrainingJob has no field for goes into podTemplate."""
    _image(main, draft)
    _program(main, draft, command)
    _environment(main, draft)
    resources, accelerator, rest = read_resources(main.child("resources"))
    draft.resources = resources
    if accelerator is not None:
        draft.node_pool["accelerator"] = accelerator
    if rest:
        draft.trainer["resources"] = rest
    _ports(main, draft)
    for key in ("terminationMessagePath", "terminationMessagePolicy"):
        if (value := main.take(key)) is not None:
            main.note(Level.LOST, key, value, "the launcher's last report goes there")
    if context := main.mapping("securityContext"):
        draft.trainer["securityContext"] = _security(context)
    draft.trainer |= main.rest()


def _ports(main: Reader, draft: Draft) -> None:
    for index, port in main.numbered("ports"):
        if not isinstance(port, dict):
            main.note(Level.LOST, f"ports[{index}]", port, "is no port, and is left out")
        elif port.get("name") == _TFJOB_PORT:
            main.note(Level.SAME, f"ports[{index}]", port, "the launcher chooses TensorFlow's ports")
        else:
            draft.trainer.setdefault("ports", []).append(port)


def _image(main: Reader, draft: Draft) -> None:
    image = main.text("image")
    if image is None:
        main.note(Level.TODO, "image", None, "is missing: without it the installation's trainer image runs")
    elif len(image) > 1024 or any(letter.isspace() for letter in image):
        main.note(Level.TODO, "image", image, "is no name of an image: write one into spec.image")
    else:
        draft.top["image"] = image
        main.note(
            Level.CHANGED, "image", image,
            "the launcher is put into it when it starts, and needs Python 3.9 and TensorFlow 2.15, or later, there",
        )  # fmt: skip
    policy = main.text("imagePullPolicy")
    if policy in ("Always", "IfNotPresent", "Never"):
        draft.top["imagePullPolicy"] = policy
    elif policy is not None:
        main.note(Level.LOST, "imagePullPolicy", policy, "is not Always, IfNotPresent or Never")


def _program(main: Reader, draft: Draft, command: "Sequence[str] | None") -> None:
    own = _words(main, "command", accepted.MAX_COMMAND)
    args = _words(main, "args", accepted.MAX_ARGS)
    if own or command:
        draft.program["command"] = own or list(command or ())
    else:
        main.note(
            Level.TODO, "command", None,
            "the TFJob leaves it to the image's entrypoint, which only the image knows: write it into "
            "spec.program.command, or convert again with --command",
        )  # fmt: skip
    if args:
        draft.program["args"] = args
    directory = main.text("workingDir")
    plain = directory.rstrip("/") or "/" if directory else None
    if plain is not None and accepted.absolute_path(plain):
        draft.program["workingDir"] = plain
    elif directory is not None:
        draft.trainer["workingDir"] = directory


def _words(main: Reader, key: str, most: int) -> list[str]:
    words = main.items(key)
    fits = all(accepted.short_text(word, accepted.MAX_ITEM) for word in words) and len(words) <= most
    if fits:
        return words
    main.note(
        Level.TODO, key, words,
        f"a program's {key} has at most {most} texts of {accepted.MAX_ITEM} characters: put a long script into "
        "spec.program.source.inline.files and run that file",
    )  # fmt: skip
    return []


def _environment(main: Reader, draft: Draft) -> None:
    env: dict[str, dict[str, Any]] = {}
    other: dict[str, dict[str, Any]] = {}
    seen: dict[str, Any] = {}
    for index, item in main.numbered("env"):
        name = item.get("name") if isinstance(item, dict) else None
        at = f"env[{name}]" if isinstance(name, str) and name else f"env[{index}]"
        if accepted.own_env(name):
            main.note(Level.LOST, at, item, "the launcher sets TF_CONFIG and TRAININGJOB_*")
        elif not isinstance(name, str) or not name:
            main.note(Level.LOST, at, item, "is no variable with a name")
        else:
            variable = _variable(item)
            if name in seen:
                main.note(Level.LOST, at, seen[name], "comes again, and the last one counts, as in a pod")
            seen[name] = item
            fits = _fits(variable) and (name in env or len(env) < accepted.MAX_ENV)
            # A variable that comes again takes the place of the first; where it does not fit, podTemplate's wins.
            (env if fits else other)[name] = variable
            (other if fits else env).pop(name, None)
    if env:
        draft.program["env"] = list(env.values())
    if other:
        draft.trainer["env"] = list(other.values())
    sources = main.items("envFrom")
    if accepted.objects(sources) and len(sources) <= accepted.MAX_ENV_FROM:
        draft.program |= {"envFrom": sources} if sources else {}
    else:
        draft.trainer["envFrom"] = sources


def _variable(item: dict[str, Any]) -> dict[str, Any]:
    """Return a variable without nulls, and with our container's name where it asks for resources of its own."""
    variable = {key: value for key, value in item.items() if value is not None}
    source = variable.get("valueFrom")
    if isinstance(source, dict):
        if variable.get("value") == "":
            del variable["value"]
        field = source.get("resourceFieldRef")
        if isinstance(field, dict) and field.get("containerName") == "tensorflow":
            variable["valueFrom"] = {"resourceFieldRef": {**field, "containerName": accepted.CONTAINER}}
    return variable


def _fits(variable: dict[str, Any]) -> bool:
    source = variable.get("valueFrom")
    return (
        not variable.keys() - {"name", "value", "valueFrom"}
        and accepted.env_name(variable["name"])
        and accepted.short_text(variable.get("value", ""), accepted.MAX_ENV_VALUE)
        and (source is None or (isinstance(source, dict) and "value" not in variable))
    )


def _security(context: dict[str, Any]) -> dict[str, Any]:
    """Return a container's security context that is whole when it is merged over the operator's strict one."""
    out = dict(context)
    if out.get("runAsUser") == 0:
        out.setdefault("runAsNonRoot", False)
    capabilities = out.get("capabilities")
    added = capabilities.get("add") if isinstance(capabilities, dict) else None
    if out.get("privileged") is True or (
        isinstance(added, list) and {"SYS_ADMIN", "CAP_SYS_ADMIN"} & set(map(str, added))
    ):
        # An API server refuses privileges that may not be gained.
        out.setdefault("allowPrivilegeEscalation", True)
    return out
