"""The gang key, the authority in its Secret, and the certificates that replicas make from it."""

import base64
import datetime
import socket
import ssl
import threading
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from tests.unit.operator.intake.secret import Secrets
from trainingjob_operator.intake.authority import SecretError, load_or_create
from trainingjob_operator.intake.certificates import KeyPair, new_authority, new_leaf, service_names
from trainingjob_operator.intake.keys import job_key, new_gang_key
from trainingjob_operator.intake.serving import ServingCertificate

NOW = datetime.datetime.now(datetime.UTC).replace(microsecond=0)
DAY = datetime.timedelta(days=1)
CA = new_authority(NOW)


def clock() -> datetime.datetime:
    return NOW


# --- Keys ---


def test_every_job_has_a_key_of_its_own() -> None:
    gang = new_gang_key()
    assert len(job_key(gang, "u1")) == 64
    assert job_key(gang, "u1") == job_key(gang, "u1")
    assert len({job_key(gang, "u1"), job_key(gang, "u2"), job_key(new_gang_key(), "u1")}) == 3


def test_the_key_is_the_hmac_sha256_of_the_uid() -> None:
    assert job_key(bytes(32), "u") == "cabb413cc691806b2729a34aac36f4683774b6402761b918d27f9f90c4bd57db"


def test_keys_that_protect_nothing_are_refused() -> None:
    with pytest.raises(ValueError, match="31 bytes"):
        job_key(bytes(31), "u")
    with pytest.raises(ValueError, match="uid is empty"):
        job_key(bytes(32), "")


# --- The Secret ---


async def test_an_empty_secret_is_filled_once() -> None:
    api = Secrets()
    first = await load_or_create(api, "system", "s", clock)
    assert [pair.matches() for pair in first.authorities] == [True]
    assert len(first.gang_key) == 32
    assert await load_or_create(api, "system", "s", clock) == first
    assert api.writes == 1
    assert api.secret is not None
    assert set(api.secret["data"]) == {"ca.crt", "ca.key", "gang.key"}


async def test_of_two_replicas_that_start_together_both_use_what_the_first_wrote() -> None:
    api = Secrets()
    rivals: list[Any] = []

    async def rival() -> None:
        rivals.append(await load_or_create(api, "system", "s", clock))

    api.rival = rival
    mine = await load_or_create(api, "system", "s", clock)
    assert rivals == [mine]
    assert api.writes == 1


async def test_a_gang_key_that_is_there_stays() -> None:
    gang = base64.b64encode(b"g" * 32).decode()
    api = Secrets({"gang.key": gang, "other": base64.b64encode(b"x").decode()})
    loaded = await load_or_create(api, "system", "s", clock)
    assert loaded.gang_key == b"g" * 32
    assert api.secret is not None
    assert api.secret["data"]["other"] == base64.b64encode(b"x").decode()


async def test_a_missing_secret_says_who_makes_it() -> None:
    api = Secrets()
    api.secret = None
    with pytest.raises(SecretError, match="system/s is not there: the Helm chart creates it"):
        await load_or_create(api, "system", "s", clock)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({"ca.crt": b"x", "ca.key": b"y"}, "do not belong together"),
        ({"ca.key": b"y"}, "do not belong together"),
        ({"gang.key": b"short"}, "has 5 bytes, needs 32"),
        ({"ca-next.crt": b"x", "ca-next.key": b"y"}, "ca-next.crt and ca-next.key do not belong together"),
    ],
)
async def test_damage_is_named_and_not_overwritten(data: dict[str, bytes], words: str) -> None:
    api = Secrets({key: base64.b64encode(value).decode() for key, value in data.items()})
    with pytest.raises(SecretError, match=words):
        await load_or_create(api, "system", "s", clock)


async def test_what_is_not_base64_is_named() -> None:
    with pytest.raises(SecretError, match="not base64"):
        await load_or_create(Secrets({"ca.crt": "&"}), "system", "s", clock)


# --- Certificates ---


def handshake(server: ssl.SSLContext, ca: bytes, name: str, **kwargs: Any) -> x509.Certificate:
    """Shake hands over a socket pair as a pod would; return the certificate that was served."""
    client = ssl.create_default_context(cadata=ca.decode())
    for field, value in kwargs.items():
        setattr(client, field, value)
    here, there = socket.socketpair()

    def serve() -> None:
        try:
            with server.wrap_socket(there, server_side=True) as tls:
                tls.recv(1)
        except (ssl.SSLError, OSError):
            there.close()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        with client.wrap_socket(here, server_hostname=name) as tls:
            der = tls.getpeercert(binary_form=True)
            assert der is not None
            tls.send(b"x")
            return x509.load_der_x509_certificate(der)
    finally:
        here.close()
        thread.join()


def test_pods_can_verify_the_service_by_all_its_names_and_by_no_other() -> None:
    ca = new_authority(NOW)
    serving = ServingCertificate(lambda: ca, service_names("intake", "system"), ["127.0.0.1"])
    for name in ("intake", "intake.system", "intake.system.svc", "127.0.0.1"):
        handshake(serving.context, ca.certificate, name)
    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        handshake(serving.context, ca.certificate, "elsewhere")
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(serving.context, new_authority(NOW).certificate, "intake")


def test_strict_verification_passes() -> None:
    ca = new_authority(NOW)
    serving = ServingCertificate(lambda: ca, ["intake"])
    handshake(serving.context, ca.certificate, "intake", verify_flags=ssl.VERIFY_X509_STRICT)


def test_old_tls_is_refused() -> None:
    ca = new_authority(NOW)
    serving = ServingCertificate(lambda: ca, ["intake"])
    assert serving.context.minimum_version is ssl.TLSVersion.TLSv1_2


async def test_certificates_are_renewed_after_two_thirds_of_their_life() -> None:
    now = start = NOW - 2 * DAY
    renewed: list[datetime.datetime] = []

    class StopError(Exception):
        pass

    async def sleep(seconds: float) -> None:
        nonlocal now
        assert 0 < seconds <= 3600
        if serving.leaf.certificate != first.certificate:
            renewed.append(now)
            raise StopError
        now += datetime.timedelta(seconds=seconds)

    ca = new_authority(start)
    serving = ServingCertificate(lambda: ca, ["intake"], life=3 * DAY, now=lambda: now, sleep=sleep)
    first = serving.leaf
    before = handshake(serving.context, ca.certificate, "intake")
    with pytest.raises(StopError):
        await serving.run()
    assert renewed == [start + 2 * DAY]
    after = handshake(serving.context, ca.certificate, "intake")
    assert before.serial_number != after.serial_number


def test_a_leaf_never_outlives_its_authority() -> None:
    ca = new_authority(NOW, life=2 * DAY)
    leaf = new_leaf(ca, NOW, ["a"], life=30 * DAY)
    assert leaf.not_after == ca.not_after


def test_a_certificate_for_nobody_is_refused() -> None:
    ca = new_authority(NOW)
    with pytest.raises(ValueError, match="both empty"):
        new_leaf(ca, NOW, [])
    with pytest.raises(ValueError, match="does not appear to be"):
        new_leaf(ca, NOW, [], ["not-an-address"])


def test_a_pair_of_strangers_does_not_match() -> None:
    one, two = new_authority(NOW), new_authority(NOW)
    assert one.matches()
    assert not KeyPair(one.certificate, two.key).matches()
    assert not KeyPair(b"", b"").matches()


def test_private_keys_touch_no_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "there-is-no-such-folder"))
    ServingCertificate(lambda: CA, ["intake"])
