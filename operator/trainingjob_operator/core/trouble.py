"""Why a gang is not complete: the verdict that a user waits for when nothing seems to happen.

Read from what the API says at once: scheduling, image, container configuration, and the API server's own refusals.
What only a Kubernetes event tells, like a volume that can't be mounted, shows as a member that stays in
ContainerCreating; the message then says where to look.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from trainingjob_operator.api.names import Reason
from trainingjob_operator.core.gang import Gang, Member
from trainingjob_operator.core.refusal import Refusal

IMAGE_REASONS = frozenset(
    {"ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull", "InvalidImageName", "ErrImageInspect"}
)
CONFIG_REASONS = frozenset({"CreateContainerConfigError", "CreateContainerError", "RunContainerError"})


@dataclass(frozen=True, slots=True)
class Trouble:
    """What keeps members from starting. `who` stays the same while the trouble does, `detail` may flicker."""

    reason: Reason
    who: str
    detail: str

    @property
    def harmless(self) -> bool:
        """Whether it only takes a moment: nobody needs to be told of it."""
        return self.reason is Reason.NAME_STILL_TAKEN

    @property
    def message(self) -> str:
        """The sentence for the condition."""
        return f"{self.who}: {self.detail}"


def find_trouble(gang: Gang, refusals: Iterable[Refusal]) -> Trouble | None:
    """Return what keeps the gang from being complete, the gravest first; None when it only needs time."""
    refused = list(refusals)
    if refused:
        worst = min(
            refused,
            key=lambda r: (
                not r.invalid, r.reason is Reason.NAME_STILL_TAKEN, r.reason is not Reason.SERVICE_CONFLICT, r.subject
            ),
        )  # fmt: skip
        return Trouble(worst.reason, _names(r.subject for r in refused if r.reason == worst.reason), worst.message)
    for reason, detail in ((Reason.CONTAINER_CONFIG_ERROR, _config), (Reason.IMAGE_NOT_PULLED, _image)):
        found = [(member.name, text) for member in gang.members if (text := detail(member))]
        if found:
            return Trouble(reason, _names(name for name, _ in found), found[0][1])
    unplaced = [m for m in gang.members if m.pod is not None and m.pod.unschedulable and not m.pod.deleting]
    if unplaced:
        text = unplaced[0].pod.unschedulable if unplaced[0].pod else ""
        return Trouble(Reason.UNSCHEDULABLE, _names(m.name for m in unplaced), text)
    return None


def describe_missing(gang: Gang) -> str:
    """Return what the members that are not up are waiting for, for a gang that takes long without known trouble."""
    parts = []
    for member in gang.members:
        if member.up:
            continue
        if member.pod is None:
            parts.append(f"{member.name} has no pod yet")
        elif member.pod.deleting:
            parts.append(f"pod {member.pod.name} is being deleted")
        else:
            state = member.pod.waiting.reason if member.pod.waiting else member.pod.phase
            parts.append(f"{member.name} is in {state or 'Pending'}, see kubectl describe pod {member.pod.name}")
    shown = "; ".join(parts[:3])
    return shown + (f"; and {len(parts) - 3} more" if len(parts) > 3 else "")


def _image(member: Member) -> str:
    waiting = member.pod.waiting if member.pod else None
    if waiting is None or waiting.reason not in IMAGE_REASONS:
        return ""
    return waiting.message or waiting.reason


def _config(member: Member) -> str:
    waiting = member.pod.waiting if member.pod else None
    if waiting is None or waiting.reason not in CONFIG_REASONS:
        return ""
    return waiting.message or waiting.reason


def _names(found: Iterable[str]) -> str:
    names = list(dict.fromkeys(found))
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
