"""Ask for an export of the log, wait for it, fetch it, and compare its digest with the one that the log recorded."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from countersign.client import Server
from countersign.exits import Exit, Stop

PATH = "/api/v1/audit/exports"
#: Seconds between two looks.
_PAUSE = 1.0


def fetch(server: Server, scope: dict[str, Any], path: Path, *, key: str, request_id: str) -> dict[str, Any]:
    """Write the bundle to ``path``; the export as the server describes it. Raises ``Stop``, and leaves no file then."""
    if path.exists():
        raise Stop(Exit.USAGE, f"{path} exists already; name another file.")
    asked = server.post(PATH, scope, key=key, request_id=request_id)
    number = asked.get("id")
    if isinstance(number, bool) or not isinstance(number, int):
        raise Stop(Exit.UNDECIDED, "The answer names no export.")
    ends = time.monotonic() + server.timeout
    made = asked
    while made.get("state") == "requested":
        if time.monotonic() > ends:
            raise Stop(
                Exit.UNDECIDED, f"Export {number} was not finished in time; fetch it later from {PATH}/{number}/file."
            )
        time.sleep(_PAUSE)
        made = server.get(f"{PATH}/{number}", request_id=request_id)
    if made.get("state") != "finished":
        raise Stop(Exit.UNDECIDED, f"The export failed: {made.get('error') or 'no reason was given'}")
    _download(server, f"{PATH}/{number}/file", path, str(made.get("sha256")), request_id)
    return made


def _download(server: Server, address: str, path: Path, digest: str, request_id: str) -> None:
    part = path.with_name(path.name + ".part")
    try:
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as target:
            found = server.fetch(address, target, request_id=request_id)
        if found != digest:
            raise Stop(Exit.MISMATCH, "The file that arrived does not have the digest that the server recorded.")
        part.replace(path)
    except OSError as error:
        raise Stop(Exit.UNDECIDED, f"{path} could not be written: {error.strerror}.") from error
    finally:
        part.unlink(missing_ok=True)
