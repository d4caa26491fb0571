"""What of a job means nothing on one machine: told once, at the start, so that nobody believes that it was tried."""

from collections.abc import Iterator, Mapping

from trainingjob_local.environment import unknown_sources
from trainingjob_local.job_file import JobFile
from trainingjob_local.mounts import Mounts
from trainingjob_local.python import Python
from trainingjob_operator.api.v1alpha1 import TrainingJobSpec
from trainingjob_operator.core.node_pool import resolve
from trainingjob_operator.core.platform import Platform
from trainingjob_operator.core.volumes import source_of


def notes_before(file: JobFile, spec: TrainingJobSpec, platform: Platform, python: Python) -> Iterator[str]:
    """Yield a sentence for each thing of the job that is not done here."""
    if file.passed_over:
        yield f"the file's other objects are passed over: {', '.join(file.passed_over)}"
    for path in file.unheeded:
        yield f"{path} is for a cluster: the job runs here, now"
    if spec.image is not None:
        yield f"spec.image {spec.image} is not used: the members run with {python}"
    elif python.tensorflow is None:
        yield f"{python.path} has no TensorFlow; --python PATH gives another interpreter"
    pool = resolve(spec.node_pool, platform.node_pools)
    if pool.accelerator is not None:
        wanted = f"{pool.accelerator.count} {pool.accelerator.resource}"
        yield f"spec.nodePool: {wanted} a member is not asked for: the members see what this shell sees"
    elif spec.node_pool is not None:
        yield "spec.nodePool is not used: all members run on this machine"
    if spec.pod_template is not None:
        yield "spec.podTemplate: only what concerns the container's variables, arguments and volumes is used"
    program = spec.program
    if program is not None:
        unknown = unknown_sources({"envFrom": program.env_from or []}, file.companions)
        if unknown:
            yield (
                f"spec.program.envFrom: {', '.join(unknown)} is not in the job's file: "
                "export the variables that the program needs before you start it"
            )


def notes_on_paths(spec: TrainingJobSpec, mounts: Mounts) -> Iterator[str]:
    """Yield a sentence for each file of the program that has a mount path in its text, where nobody replaces it."""
    source = source_of(spec)
    files: Mapping[str, str] = source.inline.files if source is not None and source.inline is not None else {}
    for name, text in files.items():
        for mount in mounts.mounts:
            if any(f"{quote}{mount.path}{end}" in text for quote in "'\"" for end in "'\"/"):
                yield (
                    f"{name} has {mount.path} in its text, which is {mount.folder} here: "
                    "give it the path as an argument or a variable, which are translated"
                )
