"""The key of a gang: all members of one job derive the same trust from it, and no other job's members do."""

import hashlib
import hmac
import secrets

GANG_KEY_BYTES = 32


def new_gang_key() -> bytes:
    """Return the operator's secret from which all jobs' keys are derived."""
    return secrets.token_bytes(GANG_KEY_BYTES)


def job_key(gang_key: bytes, uid: str) -> str:
    """Return the rendezvous key of the job with this UID: 64 hex digits, HMAC-SHA256 of the UID.

    A job that is deleted and made again has another UID, so pods of the old one cannot join the new one.

    Raises:
        ValueError: the gang key is too short to be one, or the UID is empty.
    """
    if len(gang_key) < GANG_KEY_BYTES:
        raise ValueError(f"gang key has {len(gang_key)} bytes, needs {GANG_KEY_BYTES}")
    if not uid:
        raise ValueError("uid is empty: the job has not been created yet")
    return hmac.new(gang_key, f"trainingjob:{uid}".encode(), hashlib.sha256).hexdigest()
