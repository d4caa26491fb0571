"""Whether a job's files and command can start: those of a program, and the Python files of declarative training."""

from collections.abc import Iterator

from trainingjob_operator.api.program import ProgramSource
from trainingjob_operator.api.v1alpha1 import TrainingJobSpec
from trainingjob_operator.api.validation import Problem
from trainingjob_operator.core.platform import Platform

#: Inline files travel in one environment variable; Linux takes 128 KiB for one.
MAX_INLINE_BYTES = 96 * 1024


def judge_program(spec: TrainingJobSpec, _: Platform) -> Iterator[Problem]:
    """Yield what is wrong with the program, or with the files of declarative training."""
    if spec.training is not None:
        yield from _source(spec.training.source, "spec.training.source")
    program = spec.program
    if program is None:
        return
    yield from _source(program.source, "spec.program.source")
    inline = program.source.inline.files if program.source and program.source.inline else {}
    from_config_map = program.source is not None and program.source.config_map is not None
    if program.command is None and not from_config_map and "main.py" not in inline:
        yield Problem(
            "spec.program.command", "", "is needed, unless the source has a main.py: write [python, your_script.py]"
        )
    for index, variable in enumerate(program.env or ()):
        if variable.value is not None and variable.value_from is not None:
            yield Problem(f"spec.program.env[{index}]", variable.name, "has both value and valueFrom: keep one")


def _source(source: ProgramSource | None, field: str) -> Iterator[Problem]:
    files = source.inline.files if source and source.inline else {}
    where = f"{field}.inline.files"
    if len({name.casefold() for name in files}) < len(files):
        yield Problem(where, ", ".join(files), "names must differ by more than case")
    folders = {"/".join(name.split("/")[:depth]) for name in files for depth in range(1, name.count("/") + 1)}
    for name in sorted(folders & set(files)):
        yield Problem(where, name, "is both a file and a folder: rename one of them")
    size = sum(len(name.encode()) + len(text.encode()) for name, text in files.items())
    if size > MAX_INLINE_BYTES:
        yield Problem(
            where,
            f"{size} bytes",
            f"all files together may have {MAX_INLINE_BYTES} bytes: put them into a ConfigMap (source.configMap) or "
            "into the image",
        )
