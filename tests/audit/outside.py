"""Servers outside the log for its tests: a real witness, one that says whatever a test wants, a timestamp authority."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, BinaryIO

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey

from audit.merkle.checkpoint import (
    COSIGNATURE,
    MLDSA44,
    Head,
    Signature,
    SigningKeys,
    Vkey,
    cosignature_message,
    parse,
    subtree_message,
)
from tests.conftest import free_port

REQUIREMENTS = Path(__file__).with_name("witness-requirements.txt")


@dataclass
class Received:
    """A request as it came in."""

    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Answer:
    """What to answer; ``drip`` seconds between single bytes, ``wait`` for an event before the first."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    wait: threading.Event | None = None
    drip: float = 0.0


class Server:
    """A loopback HTTP server that answers with ``reply(received)`` and keeps what it got."""

    def __init__(self, reply: Callable[[Received], Answer]) -> None:
        self.reply, self.got, self.stopping = reply, [], threading.Event()  # type: ignore[var-annotated]
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                received = Received(self.path, {k.lower(): v for k, v in self.headers.items()}, body)
                outer.got.append(received)
                with contextlib.suppress(OSError):
                    outer._send(self, outer.reply(received))

            def log_message(self, *args: object) -> None:
                return

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def _send(self, handler: BaseHTTPRequestHandler, answer: Answer) -> None:
        if answer.wait:
            answer.wait.wait(30)
        handler.send_response(answer.status)
        for name, value in {"Content-Length": str(len(answer.body)), **answer.headers}.items():
            handler.send_header(name, value)
        handler.end_headers()
        out: BinaryIO = handler.wfile  # type: ignore[assignment]
        if not answer.drip:
            out.write(answer.body)
            return
        for number in range(len(answer.body)):
            if self.stopping.wait(answer.drip):
                return
            out.write(answer.body[number : number + 1])
            out.flush()

    def close(self) -> None:
        """Stop listening."""
        self.stopping.set()
        self.server.shutdown()
        self.server.server_close()


@contextlib.contextmanager
def serving(reply: Callable[[Received], Answer]) -> Iterator[Server]:
    """A server for the length of a test."""
    server = Server(reply)
    try:
        yield server
    finally:
        server.close()


@dataclass
class Cosigner:
    """A witness' key that signs whatever it is told, at whatever time."""

    name: str = "liar.example/1"
    ed25519: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate)
    mldsa44: MLDSA44PrivateKey | None = None

    @property
    def vkey(self) -> Vkey:
        if self.mldsa44:
            return Vkey(self.name, MLDSA44, self.mldsa44.public_key().public_bytes_raw())
        return Vkey(self.name, COSIGNATURE, self.ed25519.public_key().public_bytes_raw())

    def line(self, head: Head, at: int | None = None) -> bytes:
        """The cosignature of ``head`` at ``at`` (now)."""
        at = int(time.time()) if at is None else at
        if self.mldsa44:
            signed = self.mldsa44.sign(subtree_message(self.name, at, head))
        else:
            signed = self.ed25519.sign(cosignature_message(at, head))
        return Signature(self.name, self.vkey.key_id, at.to_bytes(8) + signed).line().encode()

    def answers(self, received: Received) -> Answer:
        """An honest answer without any memory."""
        return Answer(200, self.line(head_in(received)))


def head_in(received: Received) -> Head:
    """The head that a request to ``add-checkpoint`` asks to cosign."""
    return parse(received.body.decode().partition("\n\n")[2]).head


def keys_of(origin: str) -> SigningKeys:
    """Fresh keys of a log."""
    return SigningKeys(origin, Ed25519PrivateKey.generate(), MLDSA44PrivateKey.generate())


def policy_text(witnesses: Mapping[str, tuple[Vkey, str]], quorum: int | str) -> str:
    """A tlog-policy over these witnesses (name: key and address)."""
    lines = [f"witness {name} {vkey} {url}" for name, (vkey, url) in witnesses.items()]
    if witnesses:
        lines.append(f"group everyone {quorum} {' '.join(witnesses)}")
    return "\n".join([*lines, f"quorum {'everyone' if witnesses else 'none'}"]) + "\n"


class RealWitness:
    """aics-witness in a process of its own, over a folder that outlives it."""

    def __init__(self, installed: Path, folder: Path, name: str = "witness.example/1") -> None:
        self.folder, self.name, self.port = folder, name, free_port()
        self._environment = {**os.environ, "PYTHONPATH": str(installed)}
        self._process: subprocess.Popen[bytes] | None = None
        folder.mkdir(parents=True, exist_ok=True)
        self.vkey = Vkey.parse(self.run("init", "--name", name).strip().splitlines()[-1])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def run(self, command: str, *arguments: str) -> str:
        """The output of one of its commands."""
        line = [sys.executable, "-m", "aics_witness", command, "--config", str(self.folder / "witness.json")]
        done = subprocess.run([*line, *arguments], env=self._environment, capture_output=True, text=True, check=True)
        return done.stdout

    def trust(self, origin: str, vkey: Vkey) -> None:
        """Let it cosign this log."""
        self.run("add-log", "--origin", origin, "--vkey", str(vkey))

    def evidence(self) -> list[dict[str, Any]]:
        """The requests that it refused and kept."""
        made: Any = json.loads(self.run("evidence"))
        return list(made)

    def start(self) -> None:
        """Serve until ``stop``."""
        line = [sys.executable, "-m", "aics_witness", "serve", "--config", str(self.folder / "witness.json")]
        with (self.folder / "log").open("wb") as log:
            self._process = subprocess.Popen(
                [*line, "--listen", f"127.0.0.1:{self.port}"],
                env=self._environment,
                stdout=subprocess.DEVNULL,
                stderr=log,
            )
        for _ in range(200):
            if self._process.poll() is not None:
                raise RuntimeError((self.folder / "log").read_text())
            with contextlib.suppress(OSError), urllib.request.urlopen(f"{self.url}/healthz", timeout=5):
                return
            time.sleep(0.05)
        raise RuntimeError((self.folder / "log").read_text())

    def stop(self) -> None:
        """End its process."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(20)
            self._process = None


def install_witness(cache: Path) -> Path:
    """The folder with aics-witness, installed once for each content of the requirements file."""
    digest = hashlib.sha256(REQUIREMENTS.read_bytes()).hexdigest()[:12]
    target = cache / f"aics-witness-{digest}"
    if target.exists():
        return target
    fresh = cache / f"{target.name}.{os.getpid()}"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
    pip += ["--ignore-requires-python", "--require-hashes", "--target", str(fresh), "-r", str(REQUIREMENTS)]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PIP_TARGET")}
    subprocess.run(pip, check=True, env=environment, capture_output=True, text=True)
    with contextlib.suppress(OSError):  # another worker was faster
        fresh.rename(target)
    return target


class Authority:
    """A timestamp authority: ``openssl ts`` behind HTTP. ``chain``: it embeds its whole chain, as real ones do."""

    def __init__(self, folder: Path, *, chain: bool = False) -> None:
        self.folder = folder
        folder.mkdir(parents=True)
        (folder / "serial").write_text("01\n")
        (folder / "usage").write_text(
            "extendedKeyUsage=critical,timeStamping\nkeyUsage=critical,digitalSignature\nbasicConstraints=CA:FALSE\n"
        )
        new = ["req", "-newkey", "rsa:2048", "-nodes"]
        self.openssl(*new, "-x509", "-keyout", "ca.key", "-out", "ca.pem", "-days", "9", "-subj", "/CN=Test root")
        self.openssl(*new, "-keyout", "tsa.key", "-out", "tsa.csr", "-subj", "/CN=Test authority")
        signed = ["x509", "-req", "-in", "tsa.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days"]
        self.openssl(*signed, "9", "-extfile", "usage", "-out", "tsa.pem")
        (folder / "chain.pem").write_text((folder / "tsa.pem").read_text() + (folder / "ca.pem").read_text())
        lines = ["[tsa]", "default_tsa = local", "[local]", "serial = serial", "signer_cert = tsa.pem"]
        lines += ["signer_key = tsa.key", "signer_digest = sha256", "default_policy = 1.2.3.4.1", "digests = sha256"]
        lines += ["ess_cert_id_alg = sha256", *(["certs = chain.pem"] if chain else [])]
        (folder / "tsa.cnf").write_text("\n".join([*lines, ""]))

    @property
    def roots(self) -> Path:
        return self.folder / "ca.pem"

    def token(self, query: bytes) -> bytes:
        """The TimeStampResp for a request in DER."""
        (self.folder / "query").write_bytes(query)
        self.openssl("ts", "-reply", "-config", "tsa.cnf", "-queryfile", "query", "-out", "reply")
        return (self.folder / "reply").read_bytes()

    def answers(self, received: Received) -> Answer:
        """As RFC 3161 section 3.4 has it."""
        return Answer(200, self.token(received.body), {"Content-Type": "application/timestamp-reply"})

    def openssl(self, *arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=self.folder, check=True, capture_output=True)
