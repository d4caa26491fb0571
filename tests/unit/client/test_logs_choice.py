"""Which pods `logs` reads."""

import pytest

from tests.unit.client.jobs import pod
from trainingjob_client.commands.logs import choose
from trainingjob_client.errors import ClientError
from trainingjob_client.live.follow import due
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


def test_the_one_before_is_the_last_that_is_still_there() -> None:
    """A pod that was deleted took its log with it."""
    pods = [read_pod(pod("worker-0", number)) for number in (1, 2, 5)]
    assert chosen("worker-0", None, previous=True, pods=pods) == ["digits-worker-0-2"]
    with pytest.raises(ClientError, match="digits has no pod before the newest of worker-0; there is: 5"):
        chosen("worker-0", None, previous=True, pods=pods[2:])


def followed(*pods: PodView, **reached: int) -> list[str]:
    return [found.name for found in due(list(pods), {name.replace("_", "-"): at for name, at in reached.items()})]


def test_following_begins_with_the_newest_pod_and_misses_none_after_it() -> None:
    first, second, third = (read_pod(pod("chief-0", number)) for number in (1, 2, 3))
    assert followed(first, second) == ["digits-chief-0-2"]
    assert followed(first, second, chief_0=1) == ["digits-chief-0-2"]
    assert followed(first, third, second, chief_0=1) == ["digits-chief-0-2", "digits-chief-0-3"], "one came and went"
    assert followed(first, second, third, chief_0=3) == []
    waits = read_pod(pod("chief-0", 4, "Pending", waiting={"reason": "ContainerCreating"}))
    assert followed(third, waits, chief_0=3) == []
    assert followed(first, waits, read_pod(pod("worker-0"))) == ["digits-worker-0"]


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
