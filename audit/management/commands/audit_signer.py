"""``manage.py audit_signer``: the process that holds the log's private keys and answers on SIGNER_ADDRESS."""

from __future__ import annotations

import os
import secrets
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from audit.shards import first_origin
from audit.signer import Signer, SignerUnavailable
from audit.signer_protocol import SignerServer, read_secret


class Command(BaseCommand):
    help = "Sign checkpoints of the log for the sequencer; keeps its own head in SIGNER_STATE_DIR and never goes back."
    requires_system_checks = []
    requires_migrations_checks = False

    def handle(self, *args: Any, **options: Any) -> None:
        """Serve until SIGTERM or SIGINT."""
        signal.signal(signal.SIGTERM, _stop)
        secret_file, exports_file = Path(settings.SIGNER_SECRET_FILE), Path(settings.SIGNER_EXPORT_SECRET_FILE)
        try:
            _make_secret(secret_file)
            _make_secret(exports_file)
            state = Path(settings.SIGNER_STATE_DIR)
            signer = Signer(state, "" if (state / "head.json").exists() else first_origin())
            secret, exports = read_secret(secret_file), read_secret(exports_file)
            server = SignerServer(signer, secret, settings.SIGNER_ADDRESS, exports=exports)
        except (SignerUnavailable, OSError) as error:
            raise CommandError(f"The signer cannot start: {error}") from error
        head, _ = signer.head()
        self.stdout.write(f"signer of {head.origin} at {server.address}, head {head.size}")
        self.stdout.flush()
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            pass
        finally:
            server.close()
            signer.close()


def _make_secret(path: Path) -> None:
    """The first start makes the secrets that the sequencer and the exporter share with the signer."""
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    os.write(descriptor, secrets.token_urlsafe(48).encode() + b"\n")
    os.close(descriptor)


def _stop(number: int, frame: FrameType | None) -> None:
    sys.exit(0)
