"""The state folder: ports, secrets and the environment of a started stack. 0700, its secrets 0600."""

from __future__ import annotations

import base64
import fcntl
import json
import os
import secrets
import shutil
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from config.stack.database import fresh_passwords
from config.stack.failure import StackFailure

#: A first start writes about 400 MB (database, models, logs); less than this is refused before anything is half-made.
NEEDED_BYTES = 800 * 1024**2
INNER_PORTS = ("postgres", "valkey", "signer", "mlflow", "control", "model_a", "model_b")
#: Addresses that the registry stores: they must not move between starts.
FIXED_PORTS = {"model_a", "model_b"}


@dataclass
class State:
    """One stack's folder."""

    folder: Path

    def prepare(self) -> IO[str]:
        """Create the folder and take its lock; the returned file must stay open while the stack runs.

        Raises StackFailure when another stack holds the lock, the disk is nearly full or the folder cannot be written.
        """
        try:
            for folder in (self.folder, self.folder / "secrets", self.folder / "logs", self.folder / "signer"):
                folder.mkdir(parents=True, exist_ok=True)
                folder.chmod(0o700)
        except OSError as error:
            raise StackFailure(f"The state folder {self.folder} cannot be written: {error.strerror}.") from None
        free = shutil.disk_usage(self.folder).free
        if free < NEEDED_BYTES:
            raise StackFailure(
                f"The disk with {self.folder} has {free // 1024**2} MB left; Countersign needs "
                f"{NEEDED_BYTES // 1024**2} MB. Free some space, or set COUNTERSIGN_STATE to a folder elsewhere."
            )
        lock = (self.folder / "lock").open("a+")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise StackFailure(f"Countersign already runs from {self.folder}. Stop it first (Ctrl-C).") from None
        return lock

    def write_secret(self, path: Path, text: str) -> None:
        """Write a file that only its owner can read."""
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as target:
            target.write(text)
        path.chmod(0o600)

    def secrets(self) -> dict[str, str]:
        """All generated secrets, made at the first start and kept."""
        path = self.folder / "secrets" / "generated.json"
        known: dict[str, str] = json.loads(path.read_text()) if path.exists() else {}
        fresh = {"secret_key": secrets.token_urlsafe(64), "postgres": secrets.token_urlsafe(24)}
        fresh |= {"valkey": secrets.token_urlsafe(24), "control": secrets.token_urlsafe(24)}
        fresh |= {"log": secrets.token_hex(4), **fresh_passwords()}
        if missing := {name: value for name, value in fresh.items() if name not in known}:
            known |= missing
            self.write_secret(path, json.dumps(known, indent=1))
        signer = self.folder / "secrets" / "signer"
        if not signer.exists():
            self.write_secret(signer, secrets.token_urlsafe(32))
        attestation = self.folder / "secrets" / "attestation"
        if not attestation.exists() and not os.environ.get("ATTESTATION_KEY"):
            self.write_secret(attestation, base64.b64encode(secrets.token_bytes(32)).decode() + "\n")
        return known

    def ports(self) -> dict[str, int]:
        """Ports for the inner servers: the ones of the last start where they are still free."""
        path = self.folder / "ports.json"
        known: dict[str, int] = json.loads(path.read_text()) if path.exists() else {}
        ports: dict[str, int] = {}
        for name in INNER_PORTS:
            port = known.get(name)
            if port and name in FIXED_PORTS and not is_free(port):
                raise StackFailure(
                    f"Port {port}, where the demo serves a model, is used by another program: stop it first."
                )
            ports[name] = port if port and is_free(port) and port not in ports.values() else free_port()
        path.write_text(json.dumps(ports, indent=1))
        return ports


def is_free(port: int) -> bool:
    """Whether a server could listen on this loopback port now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def free_port() -> int:
    """A loopback port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def web_port() -> int:
    """The port for people and CI: ``COUNTERSIGN_PORT`` or 8000.

    Raises StackFailure when it is not a port, or is taken: people bookmark this address, so it never moves silently.
    """
    given = os.environ.get("COUNTERSIGN_PORT", "8000")
    if not given.isdigit() or not 0 < int(given) < 65536:
        raise StackFailure(f"COUNTERSIGN_PORT must be a port between 1 and 65535, not {given!r}.")
    if not is_free(int(given)):
        raise StackFailure(
            f"Port {given} is used by another program. Stop it, or choose another: COUNTERSIGN_PORT=8080."
        )
    return int(given)
