"""Load certificates and keys that exist in memory only into an SSL context."""

import os
import ssl
import tempfile


def load_cert_chain(context: ssl.SSLContext, certificate: bytes, key: bytes) -> None:
    """Load a PEM certificate chain and its PEM key.

    Python's ssl takes files only. On Linux they are anonymous memory files, so a private key never reaches a disk
    and a read-only root file system is no obstacle; elsewhere temporary files of mode 0600, deleted at once.
    """
    pem = key.rstrip(b"\n") + b"\n" + certificate
    if hasattr(os, "memfd_create"):
        fd = os.memfd_create("certificate", os.MFD_CLOEXEC)
        try:
            _write(fd, pem)
            context.load_cert_chain(f"/proc/self/fd/{fd}")
        finally:
            os.close(fd)
        return
    fd, path = tempfile.mkstemp()
    try:
        _write(fd, pem)
        context.load_cert_chain(path)
    finally:
        os.close(fd)
        os.unlink(path)


def _write(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]
