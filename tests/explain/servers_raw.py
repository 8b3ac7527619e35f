"""Servers that misbehave below HTTP: a socket and what it does, because no HTTP library can be made to do it."""

from __future__ import annotations

import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

#: Called with the accepted socket after one whole request was read, and the number of requests before it.
Doing = Callable[[socket.socket, int], None]


def reply(body: bytes, *, length: int | None = None, head: str = "HTTP/1.1 200 OK") -> bytes:
    """A whole answer; ``length`` says another length than the body has."""
    return f"{head}\r\ncontent-length: {len(body) if length is None else length}\r\n\r\n".encode() + body


def read_request(connection: socket.socket) -> bytes:
    """One request with its body; empty when the other side has gone."""
    data = b""
    while b"\r\n\r\n" not in data:
        if not (more := connection.recv(65536)):
            return b""
        data += more
    head, _, body = data.partition(b"\r\n\r\n")
    lines = head.lower().split(b"\r\n")
    length = next((int(line.split(b":")[1]) for line in lines if line.startswith(b"content-length:")), 0)
    while len(body) < length:
        body += connection.recv(65536)
    return head + b"\r\n\r\n" + body


@contextmanager
def socket_server(doing: Doing, *, context: ssl.SSLContext | None = None) -> Iterator[str]:
    """The address of a server that does so with every request; each connection has a thread."""
    listener = socket.create_server(("127.0.0.1", 0))
    counts, lock, ended = [0], threading.Lock(), threading.Event()

    def talk(connection: socket.socket) -> None:
        try:
            secured = context.wrap_socket(connection, server_side=True) if context else connection
            with secured:
                while not ended.is_set() and read_request(secured):
                    with lock:
                        count = counts[0]
                        counts[0] += 1
                    doing(secured, count)
        except OSError:
            pass

    def listen() -> None:
        while True:
            try:
                connection, _address = listener.accept()
            except OSError:
                return
            threading.Thread(target=talk, args=(connection,), daemon=True).start()

    threading.Thread(target=listen, daemon=True).start()
    scheme = "https" if context else "http"
    try:
        yield f"{scheme}://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        ended.set()
        listener.close()


def drip(data: bytes, *, seconds: float) -> Doing:
    """Send one byte every ``seconds``."""

    def doing(connection: socket.socket, _count: int) -> None:
        for byte in data:
            connection.sendall(bytes([byte]))
            time.sleep(seconds)

    return doing


def self_signed(folder: Path, *, name: str = "127.0.0.1") -> tuple[ssl.SSLContext, Path]:
    """A context with a certificate for ``name`` that nobody trusts, and the certificate's file."""
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    kind = "IP" if name[0].isdigit() else "DNS"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-keyout", str(key), "-out", str(certificate), "-days", "2", "-subj", f"/CN={name}"]
    command += ["-addext", f"subjectAltName={kind}:{name}"]
    subprocess.run(command, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context, certificate
