"""Who signed a promotion, and who signs for whom. Signing and delegating need a person with their password."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote

from countersign import asking, outputs, settings
from countersign.exits import Exit, Stop


def listed(arguments: argparse.Namespace, shape: str) -> int:
    """List the signatures of a promotion, those that were taken back and those of earlier rounds among them."""
    settings.fill(arguments, os.environ, ("url", "token", "promotion"))
    answer = asking.get(arguments, f"/api/v1/promotions/{quote(arguments.promotion, safe='')}")
    found = answer.get("signoffs", [] if answer.get("state") else None)
    if not isinstance(found, list):
        raise Stop(Exit.UNDECIDED, "The answer names no sign-offs, so it is not known who signed.")
    lines = [_line(each, answer.get("round")) for each in found if isinstance(each, dict)]
    return outputs.told({"signoffs": found}, shape, lines or ["Nobody has signed"])


def delegations(arguments: argparse.Namespace, shape: str) -> int:
    """List the delegations, newest first: one page, and where the next one is."""
    return asking.page(arguments, shape, "/api/v1/delegations", _delegation, none="Nobody signs for anybody")


def _line(each: Mapping[str, Any], current: object) -> str:
    """``12  approve  ml_lead  user:7c…  2026-11-22T09:00:00Z  round 1  revoked``."""
    told = [each.get("id"), each.get("meaning"), each.get("role"), each.get("signer"), each.get("signed_at")]
    if each.get("on_behalf_of"):
        told.append(f"for {each['on_behalf_of']}")
    if each.get("round") != current:
        told.append(f"round {each.get('round')}, for another subject")
    if each.get("taken_back"):
        told.append(each["taken_back"])
    return "  ".join(map(str, told))


def _delegation(each: Mapping[str, Any]) -> str:
    """``DG-2026-0001  active  ml_lead  user:7c… for user:9e…  2026-11-22T09:00:00Z to 2026-11-30T23:59:59Z``."""
    who = f"{each.get('delegate')} for {each.get('delegator')}"
    window = f"{each.get('starts_at')} to {each.get('ends_at')}"
    return "  ".join((str(each.get("reference")), str(each.get("standing")), str(each.get("role")), who, window))


def add(commands: Any, command: Callable[..., Any], flags: Callable[..., None]) -> None:
    """Add them to the parser; ``command`` and ``flags`` give a command what every command has."""
    group = commands.add_parser("signoffs", help="who signed a promotion", allow_abbrev=False)
    ways = group.add_subparsers(required=True, metavar="COMMAND")
    flags(command(ways, "list", listed), promotion="its number")
    group = commands.add_parser("delegations", help="who signs for whom", allow_abbrev=False)
    ways = group.add_subparsers(required=True, metavar="COMMAND")
    flags(command(ways, "list", delegations), cursor="of the page before")
