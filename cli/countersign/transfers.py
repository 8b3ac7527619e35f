"""Transfer safeguards: what is covered until when; record, approve and revoke one."""

from __future__ import annotations

import argparse
import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from countersign import outputs, settings
from countersign.client import Server
from countersign.exits import Exit, Stop


def listed(arguments: argparse.Namespace, shape: str) -> int:
    """List the safeguards, newest first: one page, and where the next one is."""
    settings.fill(arguments, os.environ, ("url", "token"))
    cursor = f"?cursor={quote(arguments.cursor, safe='')}" if arguments.cursor else ""
    answer = _server(arguments).get(f"/api/v1/transfers{cursor}", request_id=arguments.request_id or "")
    found = answer.get("results")
    if not isinstance(found, list):
        raise Stop(Exit.UNDECIDED, "The answer has no results.")
    lines = [_line(each) for each in found if isinstance(each, dict)] or ["No safeguard is recorded"]
    if answer.get("next"):
        lines.append(f"More: --cursor of {answer['next']}")
    return _print(answer, shape, lines)


def get(arguments: argparse.Namespace, shape: str) -> int:
    """Show one safeguard."""
    settings.fill(arguments, os.environ, ("url", "token", "reference"))
    answer = _server(arguments).get(_path(arguments), request_id=arguments.request_id or "")
    return _shown(answer, shape)


def record(arguments: argparse.Namespace, shape: str) -> int:
    """Propose a safeguard; it counts when a second person has approved it."""
    needed = ("url", "token", "reference", "type", "document", "subjects", "regions", "expires")
    settings.fill(arguments, os.environ, needed)
    if arguments.file and arguments.document_digest:
        raise Stop(Exit.USAGE, "Give --file, whose SHA-256 is computed here, or --document-digest, not both.")
    body = {
        "reference": arguments.reference,
        "type": arguments.type,
        "document": arguments.document,
        "subjects": arguments.subjects.split(","),
        "regions": arguments.regions.split(","),
        "expires_at": arguments.expires,
    }
    more = {
        "document_digest": _digest_of(Path(arguments.file)) if arguments.file else arguments.document_digest,
        "exporter": arguments.exporter,
        "importer": arguments.importer,
        "risk_assessment_at": arguments.assessed,
        "assessment": _assessment(Path(arguments.assessment)) if arguments.assessment else None,
    }
    body |= {name: value for name, value in more.items() if value}
    return _post(arguments, shape, "/api/v1/transfers", body)


def approve(arguments: argparse.Namespace, shape: str) -> int:
    """Approve what somebody else recorded."""
    settings.fill(arguments, os.environ, ("url", "token", "reference"))
    body = {"reason": arguments.reason} if arguments.reason else {}
    return _post(arguments, shape, f"{_path(arguments)}/approve", body)


def revoke(arguments: argparse.Namespace, shape: str) -> int:
    """End a safeguard; what serves is decided again at once."""
    settings.fill(arguments, os.environ, ("url", "token", "reference", "reason"))
    return _post(arguments, shape, f"{_path(arguments)}/revoke", {"reason": arguments.reason})


def _path(arguments: argparse.Namespace) -> str:
    return f"/api/v1/transfers/{quote(arguments.reference, safe='')}"


def _server(arguments: argparse.Namespace) -> Server:
    return Server(arguments.url, arguments.token, settings.seconds(arguments.timeout))


def _post(arguments: argparse.Namespace, shape: str, path: str, body: dict[str, Any]) -> int:
    key = arguments.idempotency_key or settings.fresh_key()
    if not key.isascii() or not key.isprintable() or len(key) > 200:
        raise Stop(Exit.USAGE, "--idempotency-key must be at most 200 printable ASCII characters.")
    answer = _server(arguments).post(path, body, key=key, request_id=arguments.request_id or "")
    return _shown(answer, shape)


def _shown(answer: Mapping[str, Any], shape: str) -> int:
    if not answer.get("reference") or not answer.get("status"):
        raise Stop(Exit.UNDECIDED, "The answer names no safeguard, so it is not known what happened.")
    return _print(answer, shape, [_line(answer), *_more(answer)])


def _line(each: Mapping[str, Any]) -> str:
    """``TS-1  active  SCC  until 2027-01-01T00:00:00Z``."""
    return f"{each.get('reference')}  {each.get('status')}  {each.get('type')}  until {each.get('expires_at')}"


def _more(each: Mapping[str, Any]) -> list[str]:
    covers, regions = each.get("subjects") or [], each.get("regions") or []
    told = [
        f"  covers {', '.join(map(str, covers))} in {', '.join(map(str, regions))}",
        f"  document {each.get('document')} {each.get('document_digest') or '(no digest)'}",
    ]
    if each.get("revoked_reason"):
        told.append(f"  revoked: {each['revoked_reason']}")
    return told


def _digest_of(path: Path) -> str:
    """``sha256:`` of the file's bytes, not of a manifest as for an artifact."""
    try:
        with path.open("rb") as file:
            return "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise Stop(Exit.USAGE, f"{path} cannot be read: {error.strerror}.") from error


def _assessment(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise Stop(Exit.USAGE, f"{path} is not a JSON file with the elements A to F: {error}.") from error
    if not isinstance(found, dict) or not found:
        raise Stop(Exit.USAGE, f"{path} holds no object with the elements A to F.")
    return found


def _print(answer: Mapping[str, Any], shape: str, lines: list[str]) -> int:
    if shape == "json":
        print(json.dumps({**answer, "exit_code": 0}, indent=2, ensure_ascii=False), flush=True)
    else:
        print("\n".join(outputs.plain(line) for line in lines), flush=True)
    return 0
