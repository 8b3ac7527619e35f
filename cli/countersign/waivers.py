"""Waivers: what is excused until when; propose and revoke one. Approving needs a person with their password."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from countersign import asking, outputs, settings
from countersign.exits import Exit, Stop


def listed(arguments: argparse.Namespace, shape: str) -> int:
    """List the waivers, newest first: one page, and where the next one is."""
    return asking.page(arguments, shape, "/api/v1/waivers", _line, none="No waiver is recorded")


def get(arguments: argparse.Namespace, shape: str) -> int:
    """Show one waiver."""
    settings.fill(arguments, os.environ, ("url", "token", "reference"))
    answer = asking.get(arguments, _path(arguments))
    return _shown(answer, shape)


def propose(arguments: argparse.Namespace, shape: str) -> int:
    """Propose a waiver; it excuses when a second person has approved it in the browser."""
    needed = (
        "url",
        "token",
        "model",
        "version",
        "environment",
        "pack",
        "rule",
        "subjects",
        "reason",
        "control",
        "ends",
    )
    settings.fill(arguments, os.environ, needed)
    body = {
        "model": {"name": arguments.model, "version": arguments.version},
        "environment": arguments.environment,
        "pack": arguments.pack,
        "rule": arguments.rule,
        "subjects": arguments.subjects.split(","),
        "reason": arguments.reason,
        "control": arguments.control,
        "ends_at": arguments.ends,
    }
    if arguments.starts:
        body["starts_at"] = arguments.starts
    return _shown(asking.post(arguments, "/api/v1/waivers", body), shape)


def revoke(arguments: argparse.Namespace, shape: str) -> int:
    """End a waiver; what serves under it is decided again at once."""
    settings.fill(arguments, os.environ, ("url", "token", "reference", "reason"))
    return _shown(asking.post(arguments, f"{_path(arguments)}/revoke", {"reason": arguments.reason}), shape)


def _path(arguments: argparse.Namespace) -> str:
    return f"/api/v1/waivers/{quote(arguments.reference, safe='')}"


def _shown(answer: Mapping[str, Any], shape: str) -> int:
    if not answer.get("reference") or not answer.get("state"):
        raise Stop(Exit.UNDECIDED, "The answer names no waiver, so it is not known what happened.")
    return outputs.told(answer, shape, [_line(answer), *_more(answer)])


def _line(each: Mapping[str, Any]) -> str:
    """``WV-2026-0001  active  LAB-FRESH-001  credit-scoring/7 -> prod-uae  until 2027-01-01T00:00:00Z``."""
    found = each.get("model")
    model = found if isinstance(found, dict) else {}
    about = f"{model.get('name')}/{model.get('version')} -> {each.get('environment')}"
    standing = each.get("standing") or each.get("state")
    return f"{each.get('reference')}  {standing}  {each.get('rule')}  {about}  until {each.get('ends_at')}"


def _more(each: Mapping[str, Any]) -> list[str]:
    told = [
        f"  about {', '.join(map(str, each.get('subjects') or []))} by {each.get('pack')}",
        f"  why: {each.get('reason')}",
        f"  instead: {each.get('control')}",
    ]
    if each.get("state") == "proposed":
        told.append("  excuses nothing until a second person approves it")
    if each.get("revoked_reason"):
        told.append(f"  revoked: {each['revoked_reason']}")
    return told
