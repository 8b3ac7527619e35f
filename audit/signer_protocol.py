"""How the sequencer speaks to the signer's process: loopback TCP, one request for each connection, lines of UTF-8.

    signer  countersign-signer/1 <nonce, 64 hex digits>
    client  <mac> <body>
    signer  <mac> <body>

``body`` is one line of JSON. ``mac`` is hexadecimal HMAC-SHA256 under the shared secret: the client's over
``request LF nonce LF body``, the signer's over ``answer LF nonce LF client's mac LF body``. So neither a stranger on
the same machine nor a process that took over the port can sign or answer, and nothing can be replayed.

Requests, each with the ``origin`` of a log (empty: the newest): ``{"do": "head"}``, which may come with the mac ``-``
(it tells only what is public, and the note proves itself); ``sign`` with ``size``, ``root`` in hexadecimal and
``proof``; ``rotate``; ``retire`` with ``vkeys``; ``finish``; ``open``, which makes the keys of a new log; ``manifest``
with the ``payload`` of an export in base64, which a second secret may ask for, and nothing else. Answers: the head as
``{"origin", "keys": [[vkey, size above which it signs]], "size", "root", "note", "finished"}``, ``{"note"}`` for
``sign``, ``{"keyid", "signature"}`` for ``manifest``, or ``{"refused": code, "sentence"}``.
"""

from __future__ import annotations

import base64
import contextlib
import hmac
import json
import logging
import os
import socket
import stat
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from audit.merkle.checkpoint import Head, NoteInvalid, Vkey, verify
from audit.signer import Signer, SignerRefusal, SignerUnavailable

GREETING = "countersign-signer/1"
TIMEOUT = 10.0
_MAX_LINE = 65_536
_ACTIONS = ("head", "sign", "rotate", "retire", "finish", "open", "manifest")

logger = logging.getLogger(__name__)


class _Lines(Protocol):
    def readline(self, size: int, /) -> bytes: ...


def read_secret(path: Path) -> bytes:
    """The shared secret. Raises ``SignerUnavailable`` when it is missing, too short or readable by others."""
    try:
        mode = path.stat().st_mode
        secret = path.read_bytes().strip()
    except OSError as error:
        raise SignerUnavailable(f"the signer's secret cannot be read: {error}") from error
    if stat.S_IMODE(mode) & 0o077:
        raise SignerUnavailable(f"{path} can be read by others: set its mode to 0600")
    if len(secret) < 32:
        raise SignerUnavailable(f"{path} must hold at least 32 random characters")
    return secret


def parse_address(address: str) -> tuple[str, int]:
    """``host:port``. Raises ``SignerUnavailable`` for anything else."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal():
        raise SignerUnavailable(f"SIGNER_ADDRESS is {address!r}; write it as host:port, for example 127.0.0.1:8301")
    return host, int(port)


class SignerClient:
    """A signer in another process (``audit.signer.Signing``). Without a secret it can only read the head.

    ``origin`` names the log; empty: the newest that the signer has.
    """

    def __init__(self, address: str, secret: bytes | None, origin: str = "") -> None:
        self._address, self._secret = parse_address(address), secret
        self._wanted = self._origin = origin
        self._keys: list[tuple[Vkey, int]] = []
        self._finished = False

    @property
    def origin(self) -> str:
        """The name of the log."""
        if not self._origin:
            self.head()
        return self._origin

    @property
    def vkeys(self) -> tuple[Vkey, ...]:
        """The public keys of every key that the signer holds, the oldest first."""
        if not self._keys:
            self.head()
        return tuple(vkey for vkey, _above in self._keys)

    @property
    def finished(self) -> bool:
        """Whether the final checkpoint was signed and the private keys are gone, as of the last answer."""
        return self._finished

    def head(self) -> tuple[Head, str]:
        """The head that was signed last and its note (empty for a new log); the note is verified."""
        return self._told({"do": "head", "origin": self._wanted})

    def sign(self, size: int, root: bytes, proof: Sequence[bytes]) -> str:
        """The note for this head. Raises ``SignerRefusal`` or ``SignerUnavailable``."""
        if not self._keys:
            self.head()
        request = {"do": "sign", "size": size, "root": root.hex(), "proof": [hashed.hex() for hashed in proof]}
        answer = self._ask(request | {"origin": self.origin})
        note = str(answer.get("note", ""))
        try:
            if verify(note, [vkey for vkey, above in self._keys if above < size]) != Head(self.origin, size, root):
                raise SignerUnavailable("the signer signed another head than the one that was asked for")
        except NoteInvalid as error:
            self._keys = []  # they may have changed since: the next try asks again
            raise SignerUnavailable(f"the signer gave a bad signature: {error}") from error
        return note

    def sign_manifest(self, payload: bytes) -> tuple[str, bytes]:
        """See ``audit.signer.Signer.sign_manifest``."""
        encoded = base64.b64encode(payload).decode()
        answer = self._ask({"do": "manifest", "origin": self.origin, "payload": encoded})
        try:
            return str(answer["keyid"]), bytes.fromhex(answer["signature"])
        except (KeyError, TypeError, ValueError) as error:
            raise SignerUnavailable(f"the signer gave an unintelligible answer: {error}") from error

    def rotate(self) -> tuple[Vkey, ...]:
        """See ``audit.signer.Signer.rotate``."""
        self._told({"do": "rotate", "origin": self.origin})
        return self.vkeys[-2:]

    def retire(self, vkeys: Iterable[str]) -> None:
        """See ``audit.signer.Signer.retire``."""
        self._told({"do": "retire", "origin": self.origin, "vkeys": sorted(vkeys)})

    def finish(self) -> None:
        """See ``audit.signer.Signer.finish``."""
        self._told({"do": "finish", "origin": self.origin})

    def opened(self, origin: str) -> SignerClient:
        """The signer of another log; without the secret it must exist already."""
        other = SignerClient(f"{self._address[0]}:{self._address[1]}", self._secret, origin)
        other._told({"do": "open" if self._secret else "head", "origin": origin})
        return other

    def _told(self, request: Mapping[str, Any]) -> tuple[Head, str]:
        answer = self._ask(request)
        try:
            self._origin, self._finished = str(answer["origin"]), bool(answer["finished"])
            self._keys = [(Vkey.parse(text), int(above)) for text, above in answer["keys"]]
            head = Head(self._origin, int(answer["size"]), bytes.fromhex(answer["root"]))
            note = str(answer["note"])
            if head.size and verify(note, [vkey for vkey, above in self._keys if above < head.size]) != head:
                raise SignerUnavailable("the signer's head does not fit its note")
        except (KeyError, TypeError, ValueError) as error:
            raise SignerUnavailable(f"the signer gave an unintelligible answer: {error}") from error
        return head, note

    def _ask(self, request: Mapping[str, Any]) -> dict[str, Any]:
        try:
            with socket.create_connection(self._address, timeout=TIMEOUT) as connection:
                return self._converse(connection, json.dumps(request))
        except OSError as error:
            host, port = self._address
            raise SignerUnavailable(f"the signer at {host}:{port} does not answer: {error}") from error

    def _converse(self, connection: socket.socket, body: str) -> dict[str, Any]:
        with connection.makefile("rwb") as stream:
            greeting, _, nonce = _line(stream).partition(" ")
            if greeting != GREETING or len(nonce) != 64:
                raise SignerUnavailable("what answers at SIGNER_ADDRESS is not the signer")
            mac = _mac(self._secret, "request", nonce, body) if self._secret else "-"
            stream.write(f"{mac} {body}\n".encode())
            stream.flush()
            answer_mac, _, answer = _line(stream).partition(" ")
        if self._secret and not hmac.compare_digest(answer_mac, _mac(self._secret, "answer", nonce, mac, answer)):
            raise SignerUnavailable("the signer's answer is not authentic: is the secret the same on both sides?")
        try:
            parsed = json.loads(answer)
        except ValueError as error:
            raise SignerUnavailable("the signer gave an unintelligible answer") from error
        if not isinstance(parsed, dict):
            raise SignerUnavailable("the signer gave an unintelligible answer")
        if "refused" in parsed:
            raise SignerRefusal(str(parsed["refused"]), str(parsed.get("sentence", "")))
        return parsed


class SignerServer:
    """Serves one ``Signer``, one request at a time. Who has only the secret ``exports`` may have manifests signed."""

    def __init__(self, signer: Signer, secret: bytes, address: str, *, exports: bytes = b"") -> None:
        self._signer, self._secret, self._exports = signer, secret, exports
        host, port = parse_address(address)
        self._socket = socket.create_server((host, port), reuse_port=False)

    @property
    def address(self) -> str:
        """Where it listens, ``host:port``."""
        host, port = self._socket.getsockname()[:2]
        return f"{host}:{port}"

    def serve_forever(self) -> None:
        """Answer until the socket is closed."""
        while True:
            connection, _ = self._socket.accept()
            connection.settimeout(TIMEOUT)
            with connection:
                try:
                    self._answer(connection)
                except (OSError, SignerUnavailable) as error:
                    logger.warning("a conversation with the signer broke off: %s", error)

    def close(self) -> None:
        """Stop listening."""
        self._socket.close()

    def _answer(self, connection: socket.socket) -> None:
        nonce = os.urandom(32).hex()
        with connection.makefile("rwb") as stream:
            stream.write(f"{GREETING} {nonce}\n".encode())
            stream.flush()
            mac, _, body = _line(stream).partition(" ")
            secret = self._secret_behind(mac, nonce, body)
            answer = json.dumps(self._respond(body, secret))
            # A peer that is gone needs no answer: what was signed is on disk, and asking again gives the same note.
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                stream.write(f"{_mac(secret or self._secret, 'answer', nonce, mac, answer)} {answer}\n".encode())
                stream.flush()

    def _secret_behind(self, mac: str, nonce: str, body: str) -> bytes:
        """The secret that made the mac; empty for a stranger."""
        for secret in (self._secret, self._exports):
            if secret and hmac.compare_digest(mac.encode(), _mac(secret, "request", nonce, body).encode()):
                return secret
        return b""

    def _respond(self, body: str, secret: bytes) -> dict[str, Any]:
        try:
            request = json.loads(body)
            action, origin = request["do"], str(request.get("origin", ""))
            if action not in _ACTIONS:
                return {"refused": "request", "sentence": f"the request is none of {', '.join(_ACTIONS)}"}
            allowed = action == "head" or secret == self._secret or (action == "manifest" and secret != b"")
            if not allowed:
                return {"refused": "secret", "sentence": "the request does not carry the shared secret's mac"}
            return self._do(action, origin, request)
        except SignerRefusal as refusal:
            logger.error("refused to %s: %s", "sign" if refusal.code in ("rollback", "fork") else "comply", refusal)
            return {"refused": refusal.code, "sentence": str(refusal)}
        except SignerUnavailable as error:
            logger.error("the signer's state: %s", error)
            return {"refused": "state", "sentence": str(error)}
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            return {"refused": "request", "sentence": f"the request cannot be understood: {error}"}

    def _do(self, action: str, origin: str, request: Mapping[str, Any]) -> dict[str, Any]:
        if action == "open":
            if not is_origin(origin):
                return {"refused": "origin", "sentence": "a log's name has no space, no + and at most 255 bytes"}
            return _told(self._signer.opened(origin))
        signer = next((each for each in reversed(self._signer.all) if origin in ("", each.origin)), None)
        if signer is None:
            return {"refused": "origin", "sentence": f"the signer has no log called {origin}"}
        if action == "sign":
            proof = [bytes.fromhex(item) for item in request["proof"]]
            return {"note": signer.sign(int(request["size"]), bytes.fromhex(request["root"]), proof)}
        if action == "manifest":
            keyid, signature = signer.sign_manifest(base64.b64decode(request["payload"], validate=True))
            return {"keyid": keyid, "signature": signature.hex()}
        if action == "rotate":
            signer.rotate()
        elif action == "retire":
            signer.retire([str(vkey) for vkey in request["vkeys"]])
        elif action == "finish":
            signer.finish()
        return _told(signer)


def is_origin(name: str) -> bool:
    """Whether a log may be called so (C2SP signed-note key names; its length is one byte in ML-DSA-44 lines)."""
    return 0 < len(name.encode()) <= 255 and not any(c.isspace() or c == "+" or c < " " for c in name)


def _told(signer: Signer) -> dict[str, Any]:
    head, note = signer.head()
    keys = [[str(vkey), above] for vkey, above in signer.validity]
    told = {"origin": head.origin, "keys": keys, "size": head.size, "root": head.root.hex(), "note": note}
    return told | {"finished": signer.finished}


def _mac(secret: bytes, *parts: str) -> str:
    return hmac.new(secret, "\n".join(parts).encode(), "sha256").hexdigest()


def _line(stream: _Lines) -> str:
    data = stream.readline(_MAX_LINE + 1)
    if not data.endswith(b"\n") or len(data) > _MAX_LINE:
        raise SignerUnavailable("the other side broke off or sent too long a line")
    try:
        return data[:-1].decode()
    except UnicodeDecodeError as error:
        raise SignerUnavailable("the other side did not send UTF-8") from error
