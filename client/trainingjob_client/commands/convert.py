"""Turn Kubeflow's TFJobs (kubeflow.org/v1) into TrainingJobs.

The TrainingJobs go to standard output (or to -o FILE), every other document of the file as it is. What could not be
carried over, or works in another way now, goes to standard error, one line each: the field, its value, what to do.
The exit code is 1 when there was something that can't become a TrainingJob.

    kubectl trainingjob convert tfjob.yaml > trainingjob.yaml
    kubectl get tfjob mnist -o yaml | kubectl trainingjob convert - | kubectl apply -f -
"""

import argparse
import shlex
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from trainingjob_client import documents
from trainingjob_client.tfjob import Conversion, Level, convert

HELP = "turn Kubeflow's TFJobs into TrainingJobs"
#: How a line on standard error begins.
_WORDS = {Level.TODO: "to do", Level.LOST: "not carried over", Level.CHANGED: "changed"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what the command takes."""
    parser.add_argument("file", metavar="FILE", help="a YAML or JSON file with one or more objects; - reads stdin")
    parser.add_argument("-o", "--output", metavar="FILE", help="write there instead of to standard output")
    parser.add_argument(
        "--command",
        dest="program",
        metavar="LINE",
        help="the program, for TFJobs that leave it to the image's entrypoint: --command 'python /app/train.py'",
    )
    parser.add_argument(
        "--checkpoint",
        metavar="PATH",
        help="the folder of the checkpoints that a TFJob's Evaluator reads, like /train/checkpoints or gs://b/run",
    )


def run(options: argparse.Namespace) -> int:
    """Convert; return 0, or 1 when a document could not be converted or the file not be read."""
    try:
        text = sys.stdin.read() if options.file == "-" else Path(options.file).read_text(encoding="utf-8")
        found = list(documents.read(text))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        return _fail(f"{options.file}: {error}")
    command = shlex.split(options.program) if options.program else None
    out: list[str] = []
    refused = converted = 0
    for document in found:
        for value, plain in _objects(document):
            if not _is_tfjob(value):
                _say(f"{_called(value)}: is no TFJob, passed through as it is")
                out.append(plain)
                continue
            result = convert(value, command=command, checkpoint=options.checkpoint)
            _report(_called(value), result)
            if result.job is None:
                refused += 1
            else:
                converted += 1
                out.append(documents.write(result.job))
    if not converted and not refused:
        return _fail(f"{options.file}: has no TFJob (kind TFJob of kubeflow.org)")
    try:
        _write("---\n".join(out), options.output)
    except OSError as error:
        return _fail(f"{options.output}: {error.strerror}")
    return 1 if refused else 0


def _objects(document: documents.Document) -> Iterator[tuple[Any, str]]:
    """Yield (object, its text) of a document; those of a List one by one."""
    value = document.value
    if (
        isinstance(value, Mapping)
        and str(value.get("kind")).endswith("List")
        and isinstance(value.get("items"), list)
    ):
        for item in value["items"]:
            yield item, documents.write(item)
    else:
        yield value, document.text


def _is_tfjob(value: Any) -> bool:
    return isinstance(value, Mapping) and value.get("kind") == "TFJob"


def _called(value: Any) -> str:
    if not isinstance(value, Mapping):
        return "a document"
    metadata = value.get("metadata")
    name = metadata.get("name") or metadata.get("generateName") if isinstance(metadata, Mapping) else None
    return f"{value.get('kind', 'object')} {name or '(without a name)'}"


def _report(called: str, result: Conversion) -> None:
    if result.job is None:
        _say(f"{called}: can't become a TrainingJob")
    for note in result.notes:
        if note.level in _WORDS:
            _say(f"{called}: {_WORDS[note.level]}: {note}")


def _write(text: str, path: str | None) -> None:
    if path is None or path == "-":
        sys.stdout.write(text)
    else:
        Path(path).write_text(text, encoding="utf-8")


def _say(line: str) -> None:
    sys.stderr.write(line + "\n")


def _fail(line: str) -> int:
    _say(f"convert: {line}")
    return 1
