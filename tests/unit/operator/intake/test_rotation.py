"""The authority over the years: no pod that lives for less than a year ever meets a certificate it can't verify."""

import asyncio
import base64
import datetime
import random
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.operator.intake.secret import Secrets
from tests.unit.operator.intake.test_keys_and_certificates import handshake
from trainingjob_operator.intake import rotation
from trainingjob_operator.intake.authority import Trust, load_or_create
from trainingjob_operator.intake.certificates import CA_LIFE, LEAF_LIFE, KeyPair, new_authority
from trainingjob_operator.intake.serving import ServingCertificate
from trainingjob_operator.kube.errors import ApiError

DAY = datetime.timedelta(days=1)
START = datetime.datetime(2030, 1, 1, tzinfo=datetime.UTC)
times = st.datetimes(datetime.datetime(2020, 1, 1), datetime.datetime(2060, 1, 1), timezones=st.just(datetime.UTC))


def years(number: float) -> datetime.timedelta:
    return number * 365 * DAY


# --- The policy ---


@pytest.mark.parametrize(
    ("age", "due", "signs"),
    [(0, False, 0), (8.9, False, 0), (9.0, True, 0), (9.9, True, 0), (10.1, True, 0)],
)
def test_the_next_one_is_made_a_year_ahead(age: float, due: bool, signs: int) -> None:
    ends = [START + CA_LIFE]
    now = START + years(age)
    assert rotation.next_is_due(ends, now) is due
    assert rotation.signer(ends, now) == signs


def test_the_present_one_signs_until_what_it_signs_would_outlive_it() -> None:
    ends = [START + years(10), START + years(19)]
    assert rotation.signer(ends, ends[0] - 8.01 * DAY) == 0
    assert rotation.signer(ends, ends[0] - 8 * DAY) == 1
    assert LEAF_LIFE < rotation.LAST_SIGNATURE


def test_both_are_trusted_until_the_first_is_over() -> None:
    ends = [START + years(10), START + years(19)]
    assert rotation.trusted(ends, START + years(9)) == [0, 1]
    assert rotation.trusted(ends, START + years(10)) == [1]


@given(ends=st.lists(times, min_size=1, max_size=3, unique=True), now=times)
def test_who_signs_is_trusted_while_anybody_is(ends: list[datetime.datetime], now: datetime.datetime) -> None:
    signs, trusted = rotation.signer(ends, now), rotation.trusted(ends, now)
    assert signs in trusted or not trusted
    if not rotation.next_is_due(ends, now):
        assert ends[signs] - now > rotation.LAST_SIGNATURE


@given(ends=st.lists(times, min_size=1, max_size=3, unique=True), now=times)
def test_the_order_in_which_they_are_kept_means_nothing(
    ends: list[datetime.datetime], now: datetime.datetime
) -> None:
    turned = ends[::-1]
    assert ends[rotation.signer(ends, now)] == turned[rotation.signer(turned, now)]


@settings(max_examples=4, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_for_thirty_years_every_pod_can_verify_every_replica(seed: int) -> None:
    """Three replicas look at the Secret when they like, are away for weeks, and make pods that live for 300 days."""
    chance = random.Random(seed)
    api = Secrets()
    now = START
    replicas = [Trust(api, "system", "s", lambda: now) for _ in range(3)]
    pods: list[tuple[datetime.datetime, str]] = []
    away = [START] * 3  # until when

    async def live() -> None:
        nonlocal now
        for replica in replicas:
            await replica.load()
        while now < START + years(30):
            now += chance.uniform(0.2, 16) * DAY
            for number, replica in enumerate(replicas):
                if away[number] <= now:
                    # what it knows is a day old at most; when it comes back it looks first
                    await replica.load()
                    if chance.random() < 0.02:
                        away[number] = now + chance.uniform(1, 60) * DAY
            up = [replica for number, replica in enumerate(replicas) if away[number] <= now]
            if not up:
                continue
            now += chance.uniform(0, 1) * DAY
            pods[:] = [(until, bundle) for until, bundle in pods if now < until]
            pods.append((now + chance.uniform(1, 300) * DAY, chance.choice(up).bundle()))
            for replica in up:
                signs = replica.signer()
                assert signs.not_after - now > LEAF_LIFE
                assert all(signs.certificate.decode() in bundle for _, bundle in pods)
            assert set(api.data) <= {"ca.crt", "ca.key", "ca-next.crt", "ca-next.key", "gang.key"}

    asyncio.run(live())
    assert api.writes <= 1 + 2 * 4, "once in nine years, and once more when the old one is over"


# --- The Secret ---


def pair(secret: Secrets, name: str) -> KeyPair:
    return KeyPair(*(base64.b64decode(secret.data[f"{name}.{kind}"]) for kind in ("crt", "key")))


async def made(api: Secrets, now: datetime.datetime) -> tuple[KeyPair, ...]:
    return (await load_or_create(api, "system", "s", lambda: now)).authorities


async def test_an_installation_of_before_the_rotation_goes_on_and_gets_its_next_authority() -> None:
    old = new_authority(START)
    encoded = {"ca.crt": old.certificate, "ca.key": old.key, "gang.key": b"g" * 32}
    api = Secrets({key: base64.b64encode(value).decode() for key, value in encoded.items()})
    assert await made(api, START + years(5)) == (old,)
    assert api.writes == 0
    both = await made(api, START + years(9.1))
    assert both[0] == old == pair(api, "ca")
    assert both[1] == pair(api, "ca-next")
    assert base64.b64decode(api.data["gang.key"]) == b"g" * 32
    assert await made(api, START + years(9.5)) == both
    assert api.writes == 1
    assert await made(api, START + years(10.1)) == both[1:]
    assert pair(api, "ca") == both[1]
    assert "ca-next.key" not in api.data, "the key of an authority that is over is not kept"


async def test_an_operator_that_was_away_for_years_makes_another_authority_at_once() -> None:
    api = Secrets()
    (first,) = await made(api, START)
    (second,) = await made(api, START + years(12))
    assert first != second
    assert second.not_after > START + years(20)


async def test_of_two_replicas_that_find_the_next_one_due_both_use_what_the_first_wrote() -> None:
    api = Secrets()
    await made(api, START)
    rivals: list[tuple[KeyPair, ...]] = []

    async def rival() -> None:
        rivals.append(await made(api, START + years(9.1)))

    api.rival = rival
    mine = await made(api, START + years(9.1))
    assert rivals == [mine]
    assert api.writes == 2


class StopError(Exception):
    pass


def ticking(*steps: Callable[[], object]) -> Callable[[float], object]:
    """A sleep that does the next step each time, and ends the loop after the last."""
    left = iter(steps)

    async def sleep(_seconds: float) -> None:
        step = next(left, None)
        if step is None:
            raise StopError
        step()

    return sleep


async def test_a_replica_learns_what_another_has_made_and_lives_through_an_api_server_that_is_away() -> None:
    api = Secrets()
    now = START
    bundles: list[str] = []
    other = Trust(api, "system", "s", lambda: now)
    await other.load()

    def away() -> None:
        api.broken = True

    def back() -> None:
        bundles.append(trust.bundle())
        api.broken = False

    def year() -> None:
        nonlocal now
        now = START + years(9.5)

    def look() -> None:
        bundles.append(trust.bundle())

    trust = Trust(api, "system", "s", lambda: now, ticking(away, back, year, look))  # type: ignore[arg-type]
    await trust.load()
    before = trust.bundle()
    with pytest.raises(StopError):
        await trust.run()
    assert bundles[0] == before
    assert bundles[1].startswith(before)
    assert bundles[1].count("BEGIN CERTIFICATE") == 2
    assert other.bundle() == before
    await other.load()
    assert other.bundle() == bundles[1]


async def test_a_gang_key_that_was_exchanged_waits_for_the_next_start(caplog: pytest.LogCaptureFixture) -> None:
    api = Secrets()

    def exchange() -> None:
        assert api.secret is not None
        api.secret["data"]["gang.key"] = base64.b64encode(b"n" * 32).decode()

    trust = Trust(api, "system", "s", lambda: START, ticking(exchange))  # type: ignore[arg-type]
    await trust.load()
    before = trust.known.gang_key
    with pytest.raises(StopError):
        await trust.run()
    assert trust.known.gang_key == before
    assert "restart the operator" in caplog.text


async def test_at_the_start_a_secret_that_cannot_be_read_is_an_error() -> None:
    api = Secrets()
    api.broken = True
    with pytest.raises(ApiError):
        await Trust(api, "system", "s", lambda: START).load()


# --- Handshakes ---


def test_pods_of_before_and_after_verify_both_signers() -> None:
    """Real certificates of the same name and another key; what differs is how they are found."""
    today = datetime.datetime.now(datetime.UTC)
    old = new_authority(today - years(9.5))
    new = new_authority(today)
    for signs in (old, new):
        serving = ServingCertificate(lambda: signs, ["intake"])  # noqa: B023
        for bundle in (old.certificate + new.certificate, new.certificate + old.certificate, signs.certificate):
            handshake(serving.context, bundle, "intake")


async def test_a_change_of_the_signer_is_served_without_a_pause() -> None:
    today = datetime.datetime.now(datetime.UTC)
    old, new = new_authority(today), new_authority(today)
    signs = old

    def change() -> None:
        nonlocal signs
        signs = new

    serving = ServingCertificate(lambda: signs, ["intake"], sleep=ticking(change, lambda: None))  # type: ignore[arg-type]
    handshake(serving.context, old.certificate, "intake")
    with pytest.raises(StopError):
        await serving.run()
    handshake(serving.context, new.certificate, "intake")
