"""Emergencies: what went without its signatures, until when, and who reviewed it. Declaring one needs a person."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote

from countersign import asking, outputs, settings
from countersign.exits import Exit, Stop


def listed(arguments: argparse.Namespace, shape: str) -> int:
    """List the emergencies, newest first: one page, and where the next one is."""
    return asking.page(arguments, shape, "/api/v1/emergencies", _line, none="No emergency is recorded")


def get(arguments: argparse.Namespace, shape: str) -> int:
    """Show one emergency."""
    settings.fill(arguments, os.environ, ("url", "token", "reference"))
    answer = asking.get(arguments, f"/api/v1/emergencies/{quote(arguments.reference, safe='')}")
    if not answer.get("reference") or not answer.get("state"):
        raise Stop(Exit.UNDECIDED, "The answer names no emergency, so it is not known what happened.")
    return outputs.told(answer, shape, [_line(answer), *_more(answer)])


def _line(each: Mapping[str, Any]) -> str:
    """``EM-2026-0001  overdue  credit-scoring/7 -> prod-uae  INC-204  review due 2027-01-01T00:00:00Z``."""
    found = each.get("model")
    model = found if isinstance(found, dict) else {}
    about = f"{model.get('name')}/{model.get('version')} -> {each.get('environment')}"
    standing = each.get("standing") or each.get("state")
    due = f"review due {each['review_due_at']}" if each.get("review_due_at") else "not confirmed"
    return f"{each.get('reference')}  {standing}  {about}  {each.get('incident')}  {due}"


def _more(each: Mapping[str, Any]) -> list[str]:
    skipped = each.get("skipped")
    lacked = [one for one in skipped if isinstance(one, dict)] if isinstance(skipped, list) else []
    without = ", ".join(f"{one.get('n')} {one.get('role')}" for one in lacked)
    told = [
        f"  why: {each.get('reason')}",
        f"  without: {without}",
        f"  declared by {each.get('declared_by')}, confirmed by {each.get('confirmed_by') or 'nobody'}",
    ]
    if each.get("ends_at"):
        told.append(f"  from {each.get('starts_at')} to {each.get('ends_at')}")
    if each.get("reviewed_by"):
        told.append(f"  {each.get('state')} by {each['reviewed_by']}: {each.get('review_reason')}")
    return told


def add(commands: Any, command: Callable[..., Any], flags: Callable[..., None]) -> None:
    """Add them to the parser; ``command`` and ``flags`` give a command what every command has."""
    group = commands.add_parser("emergency", help="what went without signatures", allow_abbrev=False)
    ways = group.add_subparsers(required=True, metavar="COMMAND")
    flags(command(ways, "list", listed), cursor="of the page before")
    flags(command(ways, "get", get), reference="for example EM-2026-0001")
