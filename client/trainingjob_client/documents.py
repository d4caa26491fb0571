"""YAML files of several documents: reading them with their text, and writing one for people to read."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import yaml


@dataclass(frozen=True)
class Document:
    """One document of a file."""

    value: Any
    """What it says."""
    text: str
    """How it says it, comments included, without the line that separates it from the one before."""


def read(text: str) -> Iterator[Document]:
    """Yield the documents of a file, empty ones left out.

    Raises:
        yaml.YAMLError: it is not YAML; the error knows the line.
    """
    starts: list[int] = []
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        if isinstance(event, yaml.DocumentStartEvent):
            # A document without `---` before it begins where the file does, with the comments before its first key.
            starts.append(event.start_mark.index if event.explicit and event.start_mark else 0)
    for start, end in pairwise([*starts, len(text)]):
        own = text[start:end]
        value = yaml.safe_load(own)
        if value is not None:
            yield Document(value, own.removeprefix("---").lstrip("\n").rstrip("\n") + "\n")


class _Dumper(yaml.SafeDumper):
    """Writes texts of several lines as blocks, and never anchors: a person goes on with it."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002
        super().increase_indent(flow, False)  # items of a list stand in from their key


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _text)


def write(value: Any) -> str:
    """Return one document as YAML."""
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110)
