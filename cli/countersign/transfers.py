"""Transfer safeguards: what is covered until when; record, approve and revoke one."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from countersign import asking, outputs, settings
from countersign.digest import digest_of_file
from countersign.exits import Exit, Stop


def listed(arguments: argparse.Namespace, shape: str) -> int:
    """List the safeguards, newest first: one page, and where the next one is."""
    return asking.page(arguments, shape, "/api/v1/transfers", _line, none="No safeguard is recorded")


def get(arguments: argparse.Namespace, shape: str) -> int:
    """Show one safeguard."""
    settings.fill(arguments, os.environ, ("url", "token", "reference"))
    return _shown(asking.get(arguments, _path(arguments)), shape)


def record(arguments: argparse.Namespace, shape: str) -> int:
    """Propose a safeguard; it counts when a second person has approved it."""
    needed = ("url", "token", "reference", "type", "law", "document", "subjects", "regions", "expires")
    settings.fill(arguments, os.environ, needed)
    if arguments.file and arguments.document_digest:
        raise Stop(Exit.USAGE, "Give --file, whose SHA-256 is computed here, or --document-digest, not both.")
    body = {
        "reference": arguments.reference,
        "type": arguments.type,
        "law": arguments.law,
        "document": arguments.document,
        "subjects": arguments.subjects.split(","),
        "regions": arguments.regions.split(","),
        "expires_at": arguments.expires,
    }
    more = {
        "document_digest": digest_of_file(Path(arguments.file)) if arguments.file else arguments.document_digest,
        "exporter": arguments.exporter,
        "importer": arguments.importer,
        "risk_assessment_at": arguments.assessed,
        "assessment": _assessment(Path(arguments.assessment)) if arguments.assessment else None,
    }
    body |= {name: value for name, value in more.items() if value}
    return _shown(asking.post(arguments, "/api/v1/transfers", body), shape)


def approve(arguments: argparse.Namespace, shape: str) -> int:
    """Approve what somebody else recorded."""
    settings.fill(arguments, os.environ, ("url", "token", "reference"))
    body = {"reason": arguments.reason} if arguments.reason else {}
    return _shown(asking.post(arguments, f"{_path(arguments)}/approve", body), shape)


def revoke(arguments: argparse.Namespace, shape: str) -> int:
    """End a safeguard; what serves is decided again at once."""
    settings.fill(arguments, os.environ, ("url", "token", "reference", "reason"))
    return _shown(asking.post(arguments, f"{_path(arguments)}/revoke", {"reason": arguments.reason}), shape)


def _path(arguments: argparse.Namespace) -> str:
    return f"/api/v1/transfers/{quote(arguments.reference, safe='')}"


def _shown(answer: Mapping[str, Any], shape: str) -> int:
    if not answer.get("reference") or not answer.get("status"):
        raise Stop(Exit.UNDECIDED, "The answer names no safeguard, so it is not known what happened.")
    return outputs.told(answer, shape, [_line(answer), *_more(answer)])


def _line(each: Mapping[str, Any]) -> str:
    """``TS-1  active  SCC (SA)  until 2027-01-01T00:00:00Z``."""
    kind = f"{each.get('type')} ({each.get('law') or 'law unknown'})"
    state = each.get("standing") or each.get("status")
    return f"{each.get('reference')}  {state}  {kind}  until {each.get('expires_at')}"


def _more(each: Mapping[str, Any]) -> list[str]:
    covers, regions = each.get("subjects") or [], each.get("regions") or []
    told = [
        f"  covers {', '.join(map(str, covers))} in {', '.join(map(str, regions))}",
        f"  document {each.get('document')} {each.get('document_digest') or '(no digest)'}",
    ]
    if each.get("revoked_reason"):
        told.append(f"  revoked: {each['revoked_reason']}")
    return told


def _assessment(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise Stop(Exit.USAGE, f"{path} is not a JSON file with the elements A to F: {error}.") from error
    if not isinstance(found, dict) or not found:
        raise Stop(Exit.USAGE, f"{path} holds no object with the elements A to F.")
    return found
