"""The user's own program: its files, command and environment."""

import re
from typing import Annotated, ClassVar

from pydantic import Field, StringConstraints

from trainingjob_operator.api.rules import Rule, Unique, exactly_one
from trainingjob_operator.api.types import AbsolutePath, DnsName, Model, Passthrough

_FILE_NAME = "[A-Za-z0-9_][A-Za-z0-9_.-]*(/[A-Za-z0-9_][A-Za-z0-9_.-]*)*"
MAX_FILE_NAME = 200


class EnvVar(Model):
    """One environment variable, as in a pod."""

    name: Annotated[
        str,
        StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_.-]*$", max_length=253),
        Rule(
            "self != 'TF_CONFIG' && !self.startsWith('TRAININGJOB_')",
            "TF_CONFIG and TRAININGJOB_* are set by the launcher; choose another name",
            lambda name: name != "TF_CONFIG" and not name.startswith("TRAININGJOB_"),
        ),
    ]
    """Name of the variable. TF_CONFIG and names that begin with TRAININGJOB_ belong to the launcher."""
    value: Annotated[str, StringConstraints(max_length=32768)] | None = None
    """Its value. $(OTHER) is replaced by the value of OTHER."""
    value_from: Passthrough | None = None
    """Its source: secretKeyRef, configMapKeyRef, fieldRef or resourceFieldRef, as in a pod."""


class ProgramConfigMap(Model):
    """A ConfigMap whose keys are the program's files."""

    name: DnsName
    """Name of the ConfigMap, in the job's namespace."""


class InlineSource(Model):
    """The program's files, written in the job itself."""

    files: Annotated[
        dict[str, Annotated[str, StringConstraints(max_length=65536)]],
        Field(
            min_length=1,
            max_length=32,
        ),
        Rule(
            f"self.all(name, name.matches('^{_FILE_NAME}$') && name.size() <= {MAX_FILE_NAME})",
            "names must be relative paths like main.py or lib/model.py",
            lambda files: all(re.fullmatch(_FILE_NAME, name) and len(name) <= MAX_FILE_NAME for name in files),
        ),
    ]
    """File name, like main.py, to text. All files together have at most 96 KiB."""


class ProgramSource(Model):
    """Where the program's files come from, when they are not in the image.

    They go into the working directory.
    """

    object_rules: ClassVar = (exactly_one("configMap", "inline"),)

    config_map: ProgramConfigMap | None = None
    """A ConfigMap, one file for each key."""
    inline: InlineSource | None = None
    """Files written here."""


class KerasHooks(Model):
    """What the launcher does to Keras in the program's process."""

    patch_fit: bool = True
    """Whether Keras 3's fit is mended, so that an unmodified script trains on many workers. false leaves Keras as it
    is; fit then works on the chief alone, or under tf-keras."""


class Program(Model):
    """The user's own training program.

    Every member runs it, with TF_CONFIG set when there are workers.
    """

    command: (
        Annotated[list[Annotated[str, StringConstraints(max_length=4096)]], Field(min_length=1, max_length=64)] | None
    ) = None
    """The program, without a shell. Default: python main.py, when the source has a main.py. $(VAR) is replaced."""
    args: Annotated[list[Annotated[str, StringConstraints(max_length=4096)]], Field(max_length=256)] | None = None
    """Arguments after the command."""
    env: Annotated[list[EnvVar], Field(max_length=256), Unique("name")] | None = None
    """Environment variables."""
    env_from: Annotated[list[Passthrough], Field(max_length=32)] | None = None
    """ConfigMaps and Secrets whose keys become environment variables, as in a pod."""
    working_dir: AbsolutePath | None = None
    """Where the program starts. Default: /workspace, an empty folder that it may write to, when there is a source;
    the image's own working directory otherwise."""
    source: ProgramSource | None = None
    """The program's files, when they are not in the image."""
    keras: KerasHooks = KerasHooks()
    """What the launcher does to Keras in the program's process."""
    inject_launcher: bool | None = None
    """Whether the launcher comes from the operator instead of from the image. Default: true with an image of your
    own, which needs only Python 3.9 or later and TensorFlow then; false with the installation's trainer image."""
