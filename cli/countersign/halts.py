"""Transfers to be halted because their safeguard ended: what there is to do, whose it is, and that it was done."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from countersign import asking, outputs, settings
from countersign.exits import Exit, Stop


def listed(arguments: argparse.Namespace, shape: str) -> int:
    """List the orders to halt a transfer, newest first: one page, and where the next one is."""
    return asking.page(arguments, shape, "/api/v1/transfer-halts", _line, none="No transfer has to be halted")


def take(arguments: argparse.Namespace, shape: str) -> int:
    """Become the owner of halting a transfer."""
    settings.fill(arguments, os.environ, ("url", "token", "reference"))
    return _post(arguments, shape, "take", {})


def done(arguments: argparse.Namespace, shape: str) -> int:
    """Put on record that a transfer was halted and who was notified."""
    settings.fill(arguments, os.environ, ("url", "token", "reference", "reason", "recipients"))
    recipients = [each.strip() for each in arguments.recipients.split(";") if each.strip()]
    return _post(arguments, shape, "done", {"reason": arguments.reason, "recipients": recipients})


def _post(arguments: argparse.Namespace, shape: str, step: str, body: dict[str, Any]) -> int:
    path = f"/api/v1/transfer-halts/{quote(arguments.reference, safe='')}/{step}"
    answer = asking.post(arguments, path, body)
    if not answer.get("safeguard") or not answer.get("state"):
        raise Stop(Exit.UNDECIDED, "The answer names no order, so it is not known what happened.")
    return outputs.told(answer, shape, [_line(answer)])


def _line(each: Mapping[str, Any]) -> str:
    """``TS-1  open  2 deployments relied on it  since 2027-01-01T00:00:00Z``."""
    relied = each.get("relied") or []
    what = f"{len(relied)} deployment{'' if len(relied) == 1 else 's'} relied on it"
    owner = f"  {each['owner']}" if each.get("owner") else ""
    return f"{each.get('safeguard')}  {each.get('state')}{owner}  {what}  since {each.get('opened_at')}"
