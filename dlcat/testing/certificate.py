"""A self-signed certificate for loopback, made by the openssl command: no client trusts it unless it is told to."""

from __future__ import annotations

import shutil
import ssl
import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

NAMES = "subjectAltName=IP:127.0.0.1,DNS:localhost"


def can_sign() -> bool:
    """Whether there is an openssl command; without it the server cannot speak TLS."""
    return shutil.which("openssl") is not None


def make(folder: Path) -> Path:
    """A new certificate for 127.0.0.1 and localhost, and its key beside it (key.pem); returns the certificate's path.

    Raises:
        RuntimeError: there is no openssl command, or it is too old.
    """
    certificate = folder / "certificate.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    command += ["-addext", NAMES, "-keyout", str(folder / "key.pem"), "-out", str(certificate)]
    if not can_sign():
        raise RuntimeError("tls=True needs the openssl command, and there is none")
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"openssl could not make a certificate:\n{done.stderr.strip()}")
    return certificate


def context(certificate: Path) -> ssl.SSLContext:
    """What a server speaks TLS with."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(certificate, certificate.with_name("key.pem"))
    return made
