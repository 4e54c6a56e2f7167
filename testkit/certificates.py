"""Certificates for peers that should not be trusted, made by openssl."""

from __future__ import annotations

import ssl
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

Context = Callable[[], ssl.SSLContext]

_CA_CONFIG = """[ca]
default_ca = it
[it]
database = {folder}/index.txt
new_certs_dir = {folder}
serial = {folder}/serial
default_md = sha256
policy = any
copy_extensions = copy
[any]
commonName = supplied
"""


@dataclass(frozen=True)
class Certificates:
    """An authority, a stranger, and what servers show."""

    authority: Path
    stranger: Path
    server: Context
    expired: Context


def make(folder: Path) -> Certificates:
    """All of them, for 127.0.0.1."""
    for name in ("authority", "stranger"):
        _openssl(folder, "req", "-x509", *_key(name), "-out", f"{name}.pem", "-subj", f"/CN={name}", "-days", "2")
    _signed(folder, "server", "-days", "2")
    _signed(folder, "expired", "-startdate", "20200101000000Z", "-enddate", "20200201000000Z")
    return Certificates(
        authority=folder / "authority.pem",
        stranger=folder / "stranger.pem",
        server=_context(folder, "server"),
        expired=_context(folder, "expired"),
    )


def _key(name: str) -> list[str]:
    return ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", f"{name}.key"]


def _signed(folder: Path, name: str, *validity: str) -> None:
    (folder / "ca.conf").write_text(_CA_CONFIG.format(folder=folder))
    (folder / "index.txt").write_text("")
    (folder / "serial").write_text("01\n")
    request = ["-out", f"{name}.csr", "-subj", f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1"]
    _openssl(folder, "req", *_key(name), *request)
    signing = ["-config", "ca.conf", "-cert", "authority.pem", "-keyfile", "authority.key", "-batch", "-notext"]
    _openssl(folder, "ca", *signing, "-in", f"{name}.csr", "-out", f"{name}.pem", *validity)


def _openssl(folder: Path, *arguments: str) -> None:
    done = subprocess.run(["openssl", *arguments], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def _context(folder: Path, name: str) -> Context:
    def make() -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(folder / f"{name}.pem", folder / f"{name}.key")
        return context

    return make
