"""Which pods `logs` reads."""

import pytest

from tests.unit.client.jobs import pod
from trainingjob_client.commands.logs import choose
from trainingjob_client.errors import ClientError
from trainingjob_client.view.pods import PodView, read_pod

GANG = [
    read_pod(pod("worker-1", 1)),
    read_pod(pod("worker-0", 2)),
    read_pod(pod("worker-0", 1, "Failed", terminated={"exitCode": 1})),
    read_pod(pod("chief-0", 1)),
]
WAITING = read_pod(pod("worker-2", 1, "Pending", waiting={"reason": "ImagePullBackOff"}))


def chosen(*arguments: object, pods: list[PodView] = GANG, **options: bool) -> list[str]:
    return [found.name for found in choose("digits", pods, *arguments, **options)]  # type: ignore[arg-type]


def test_the_newest_pod_of_a_member() -> None:
    assert chosen("chief-0", None) == ["digits-chief-0"]
    assert chosen("worker-0", None) == ["digits-worker-0-2"]


def test_the_one_before_or_a_numbered_one() -> None:
    assert chosen("worker-0", None, previous=True) == ["digits-worker-0"]
    assert chosen("worker-0", 1) == ["digits-worker-0"]


def test_all_members_the_chief_first() -> None:
    assert chosen("all", None) == ["digits-chief-0", "digits-worker-0-2", "digits-worker-1"]
    assert chosen("all", None, pods=[*GANG, WAITING]) == ["digits-chief-0", "digits-worker-0-2", "digits-worker-1"]


def test_the_previous_pods_of_all_are_those_that_there_are() -> None:
    assert chosen("all", None, previous=True) == ["digits-worker-0"]


@pytest.mark.parametrize(
    ("arguments", "pods", "says"),
    [
        (("chief-1", None), GANG, "digits has no pod of chief-1; it has chief-0, worker-0, worker-1"),
        (("chief-0", None), [], "it has none: not made yet"),
        (("worker-0", 7), GANG, "digits has no pod 7 of worker-0; there is: 1, 2"),
        (("worker-2", None), [WAITING], "worker-2 is Pending ImagePullBackOff; -f waits for it"),
    ],
)
def test_what_is_not_there_is_said(arguments: tuple[str, int | None], pods: list[PodView], says: str) -> None:
    with pytest.raises(ClientError, match=says):
        chosen(*arguments, pods=pods)
