"""What can happen to a gang that trains. Each fault is over, and the cluster whole again, when its context is left."""

import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass

from tests.chaos.gang import Gang
from tests.chaos.machine import launcher, nodes, partitioned, powerless, trainer

#: Python for a program: it takes all memory that its container may have.
EATS_MEMORY = 'kept = []\nwhile True:\n    kept.append(b"x" * 10_000_000)\n'
#: The same in a process of its own. The kernel weighs a process with all it has mapped, and TensorFlow's libraries are a
#: good deal: beside a trainer that eats, the launcher would never be the first to go.
CHILD_EATS_MEMORY = f"import subprocess\nsubprocess.run([sys.executable, '-c', {EATS_MEMORY!r}])"
CHIEF, WORKER = "chief-0", "worker-0"
#: An exit code that a rule of the job makes free.
FREE = 7


@dataclass(frozen=True)
class Fault:
    """One fault, and what has to come of it.

    `seconds` is how long the next finished step may take. `counted` is whether it counts against backoffLimit.
    `reasons` are what status.failure.reason may be, empty when the generation did not fail (somebody asked for its
    end). `replaced` says whether the member gets a new pod; the others keep theirs, always. `repeats` is how many
    steps may be done again: up to the last checkpoint, or one where all were told to end and saved.
    """

    name: str
    member: str
    inject: Callable[[Gang], AbstractContextManager[object]]
    seconds: float
    counted: bool
    reasons: tuple[str, ...] = ()
    code: int | None = None
    replaced: bool = False
    repeats: int = 12


def once(act: Callable[[Gang], object]) -> Callable[[Gang], AbstractContextManager[object]]:
    """Return a fault that needs nothing to be mended."""

    def inject(gang: Gang) -> AbstractContextManager[object]:
        act(gang)
        return nullcontext()

    return inject


def exits(code: int) -> str:
    """Return Python with which a program ends at once."""
    return f"os._exit({code})"


def _kill_launcher(member: str) -> Callable[[Gang], object]:
    return lambda gang: launcher(gang.pod(member)).kill()


def _launcher_out_of_memory(gang: Gang) -> None:
    """The kernel takes the launcher, not the process that took the memory: the container ends as OOMKilled."""
    pod = gang.pod(WORKER)
    launcher(pod).set_oom_score(1000)
    trainer(pod).set_oom_score(0)
    gang.do(WORKER, "step", CHILD_EATS_MEMORY)


@contextmanager
def _drained(gang: Gang, member: str) -> Iterator[None]:
    node = gang.node(member)
    kubectl = gang.world.kube.kubectl
    kubectl("drain", node, "--force", "--ignore-daemonsets", "--delete-emptydir-data", "--timeout=60s")
    try:
        yield
    finally:
        nodes("add", node)


def _two_at_once(gang: Gang) -> None:
    worker = trainer(gang.pod(WORKER))
    gang.delete_pod(CHIEF, "--force", "--grace-period=0")
    worker.kill()


#: Of a container whose launcher said nothing.
ENDED = ("MemberFailed",)
KILLED, LOST = ("TrainerKilled",), ("MemberLost", "NodeLost")
#: Three times what is promised, for machines that are slower and busier; the table tells what it took.
COLD, NEW_POD, LOST_NODE = 24.0, 36.0, 90.0

FAULTS = [
    Fault("trainer of a worker: SIGKILL", WORKER, once(lambda g: g.kill(WORKER)), COLD, True, KILLED, 137),
    Fault("trainer of the chief: SIGKILL", CHIEF, once(lambda g: g.kill(CHIEF)), COLD, True, KILLED, 137),
    Fault("launcher of a worker: SIGKILL", WORKER, once(_kill_launcher(WORKER)), NEW_POD, True, ENDED, 137, replaced=True),
    Fault("launcher of the chief: SIGKILL", CHIEF, once(_kill_launcher(CHIEF)), NEW_POD, True, ENDED, 137, replaced=True),
    Fault(
        "launcher of a worker: SIGTERM", WORKER,
        once(lambda g: launcher(g.pod(WORKER)).send(signal.SIGTERM)), NEW_POD, False, replaced=True, repeats=1,
    ),
    Fault(
        "trainer of a worker: SIGSTOP", WORKER,
        once(lambda g: trainer(g.pod(WORKER)).send(signal.SIGSTOP)), COLD, True, ("TrainerFrozen",),
    ),
    Fault(
        "trainer of the chief: SIGSTOP", CHIEF,
        once(lambda g: trainer(g.pod(CHIEF)).send(signal.SIGSTOP)), COLD, True, ("TrainerFrozen",),
    ),
    Fault("exit code 3", WORKER, once(lambda g: g.do(WORKER, "step", exits(3))), COLD, True, ("TrainerFailed",), 3),
    Fault("exit code 42", CHIEF, once(lambda g: g.do(CHIEF, "step", exits(42))), COLD, False, code=42),
    Fault(f"exit code {FREE}, free by a rule", WORKER, once(lambda g: g.do(WORKER, "step", exits(FREE))), COLD, False, code=FREE),
    Fault(
        "an exception in a worker", WORKER,
        once(lambda g: g.do(WORKER, "step", "raise RuntimeError('a broken disk')")), COLD, True, ("TrainerFailed",), 1,
    ),
    Fault(
        "trainer out of memory", WORKER, once(lambda g: g.do(WORKER, "step", EATS_MEMORY)), COLD, True, ("OOMKilled",), 137,
    ),
    Fault("launcher out of memory", WORKER, once(_launcher_out_of_memory), NEW_POD, True, ("OOMKilled",), 137, replaced=True),
    Fault("pod of a worker deleted", WORKER, once(lambda g: g.delete_pod(WORKER)), NEW_POD, False, replaced=True, repeats=1),
    Fault("pod of the chief deleted", CHIEF, once(lambda g: g.delete_pod(CHIEF)), NEW_POD, False, replaced=True, repeats=1),
    Fault(
        "pod of a worker deleted, force", WORKER,
        once(lambda g: g.delete_pod(WORKER, "--force", "--grace-period=0")), NEW_POD, False, replaced=True,
    ),
    Fault(
        "pod of the chief deleted, force", CHIEF,
        once(lambda g: g.delete_pod(CHIEF, "--force", "--grace-period=0")), NEW_POD, False, replaced=True,
    ),
    Fault("eviction of a worker", WORKER, once(lambda g: g.evict(WORKER)), NEW_POD, False, replaced=True, repeats=1),
    Fault("eviction of the chief", CHIEF, once(lambda g: g.evict(CHIEF)), NEW_POD, False, replaced=True, repeats=1),
    Fault("drain of a worker's node", WORKER, lambda g: _drained(g, WORKER), NEW_POD, False, replaced=True, repeats=1),
    Fault("drain of the chief's node", CHIEF, lambda g: _drained(g, CHIEF), NEW_POD, False, replaced=True, repeats=1),
    Fault(
        "network of a worker's node cut", WORKER, lambda g: partitioned(g.node(WORKER)), LOST_NODE, False, LOST, replaced=True
    ),
    Fault(
        "network of the chief's node cut", CHIEF, lambda g: partitioned(g.node(CHIEF)), LOST_NODE, False, LOST, replaced=True
    ),
    Fault("power of a worker's node off", WORKER, lambda g: powerless(g.node(WORKER)), LOST_NODE, False, LOST, replaced=True),
    Fault("power of the chief's node off", CHIEF, lambda g: powerless(g.node(CHIEF)), LOST_NODE, False, LOST, replaced=True),
    Fault("two at once: worker's trainer, chief's pod", CHIEF, once(_two_at_once), NEW_POD, False, replaced=True),
]  # fmt: skip
