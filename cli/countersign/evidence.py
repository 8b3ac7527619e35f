"""Evidence for a version and the keys that may sign it: list, record a piece by its document's digest, withdraw one."""

from __future__ import annotations

import argparse
import base64
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from countersign import asking, outputs, settings
from countersign.digest import digest_of_file
from countersign.exits import Exit, Stop

MOST_BYTES = 256 * 1024


def listed(arguments: argparse.Namespace, shape: str) -> int:
    """List evidence, newest first: one page, and where the next one is."""
    settings.fill(arguments, os.environ, ("url", "token"))
    if bool(arguments.model) != bool(arguments.version):
        raise Stop(Exit.USAGE, "Give --model and --version, both or neither.")
    version = f"version:{arguments.model}/{arguments.version}" if arguments.model else ""
    filters = {"version": version, "type": arguments.type, "environment": arguments.environment}
    return asking.page(arguments, shape, "/api/v1/evidence", _line, none="No evidence is recorded", **filters)


def record(arguments: argparse.Namespace, shape: str) -> int:
    """Record evidence by the digest of its document, which is computed here; the document is not sent."""
    settings.fill(arguments, os.environ, ("url", "token", "type", "model", "version", "title", "author", "issued"))
    if bool(arguments.file) == bool(arguments.document_digest):
        raise Stop(Exit.USAGE, "Give --file, whose SHA-256 is computed here, or --document-digest, one of them.")
    body = {
        "type": arguments.type,
        "version": f"version:{arguments.model}/{arguments.version}",
        "digest": digest_of_file(Path(arguments.file)) if arguments.file else arguments.document_digest,
        "title": arguments.title,
        "author": arguments.author,
        "issued_at": arguments.issued,
    }
    more = {
        "environment": arguments.environment,
        "artifact_digest": arguments.digest,
        "expires_at": arguments.expires,
        "envelope": _envelope(arguments.signature) if arguments.signature else "",
    }
    body |= {name: value for name, value in more.items() if value}
    return _shown(asking.post(arguments, "/api/v1/evidence", body), shape)


def _envelope(path: str) -> str:
    """The bytes of a signature file in base64: what was signed is sent as it is."""
    try:
        sent = Path(path).read_bytes()
    except OSError as error:
        raise Stop(Exit.USAGE, f"{path} cannot be read: {error.strerror}.") from error
    if not 0 < len(sent) <= MOST_BYTES:
        raise Stop(Exit.USAGE, f"The signature file {path} must have between 1 byte and 256 KiB.")
    return base64.b64encode(sent).decode()


def withdraw(arguments: argparse.Namespace, shape: str) -> int:
    """Withdraw a piece; what serves is decided again."""
    settings.fill(arguments, os.environ, ("url", "token", "reference", "reason"))
    path = f"/api/v1/evidence/{quote(arguments.reference, safe='')}/withdraw"
    return _shown(asking.post(arguments, path, {"reason": arguments.reason}), shape)


def keys(arguments: argparse.Namespace, shape: str) -> int:
    """List the keys whose signatures on evidence may count, newest first."""
    return asking.page(arguments, shape, "/api/v1/evidence-keys", _key_line, none="No key is on record")


def _key_line(each: Mapping[str, Any]) -> str:
    """``EK-2026-0001  active  fairness-lab  sha256:…  fairness, privacy_check``."""
    types = each.get("types")
    named = ", ".join(map(str, types)) if isinstance(types, list) else ""
    return "  ".join(map(str, (*(each.get(name) for name in ("reference", "state", "name", "fingerprint")), named)))


def _shown(answer: Mapping[str, Any], shape: str) -> int:
    if not answer.get("reference") or not answer.get("state"):
        raise Stop(Exit.UNDECIDED, "The answer names no evidence, so it is not known what happened.")
    return outputs.told(answer, shape, [_line(answer), f"  document {answer.get('digest')}"])


def _line(each: Mapping[str, Any]) -> str:
    """``EV-2026-0001  active  fairness  version:credit-scoring/3 in prod-uae  until 2027-01-01T00:00:00Z``."""
    stale = each.get("stale") or []
    state = ", ".join(map(str, stale)) if isinstance(stale, list) and stale else each.get("state")
    place = f" in {each['environment']}" if each.get("environment") else ""
    until = f"until {each['expires_at']}" if each.get("expires_at") else "no end"
    told: list[Any] = [each.get("reference"), state, each.get("type"), f"{each.get('version')}{place}", until]
    return "  ".join(map(str, told))
