"""Analyses of finished explanations: two compared, drift from one to the other, fairness by group."""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable, Mapping
from typing import Any

from countersign import asking, outputs, settings, tables
from countersign.exits import Exit, Stop

PATH = "/api/v1/analyses"
#: Seconds between two looks.
_PAUSE = 1.0
_OPEN = ("queued", "running")
_READ: dict[str, Callable[[str, str], Any]] = {
    **dict.fromkeys(("first", "second", "seed"), settings.whole),
    **dict.fromkeys(("attribute", "column", "favourable"), lambda _name, given: given),
    **dict.fromkeys(("groups", "labels"), lambda _name, given: tables.document(given)),
    "threshold": settings.number,
}


def listed(arguments: argparse.Namespace, shape: str) -> int:
    """List the analyses, newest first: one page, and where the next one is."""
    return asking.page(arguments, shape, PATH, _line, none="Nobody has asked for an analysis")


def request(arguments: argparse.Namespace, shape: str) -> int:
    """Ask for an analysis; with --wait, until it has ended."""
    settings.fill(arguments, os.environ, ("url", "token", "kind", "first"))
    body: dict[str, Any] = {"kind": settings.choice("kind", arguments.kind, ("comparison", "drift", "fairness"))}
    for name, read in _READ.items():
        if given := getattr(arguments, name):
            body[name] = read(name, given)
    return _told(_waited(arguments, asking.post(arguments, PATH, body)), shape)


def show(arguments: argparse.Namespace, shape: str) -> int:
    """Show an analysis: how it ended, whether it is fresh, its result and its receipt."""
    settings.fill(arguments, os.environ, ("url", "token", "id"))
    return _told(asking.get(arguments, f"{PATH}/{settings.whole('id', arguments.id)}"), shape)


def _told(answer: dict[str, Any], shape: str) -> int:
    lines = [_line(answer), *map(str, answer.get("stale") or [])]
    if answer.get("state") == "finished":
        lines.append(json.dumps(answer.get("result"), indent=2, ensure_ascii=False))
    return outputs.told(answer, shape, lines, _code(answer))


def _waited(arguments: argparse.Namespace, answer: dict[str, Any]) -> dict[str, Any]:
    """The analysis when it has ended, or when the time of ``--wait`` is over; as it was asked without."""
    number = answer.get("id")
    if isinstance(number, bool) or not isinstance(number, int):
        raise Stop(Exit.UNDECIDED, "The answer names no analysis.")
    ends = time.monotonic() + (settings.seconds(arguments.wait, name="wait") if arguments.wait else 0)
    while answer.get("state") in _OPEN and time.monotonic() < ends:
        time.sleep(_PAUSE)
        answer = asking.get(arguments, f"{PATH}/{number}")
    return answer


def _code(answer: Mapping[str, Any]) -> Exit:
    """0 for evidence and drafts alike, which the answer tells apart; 3 while it is under way; 1 when it failed."""
    codes = {"finished": Exit.ALLOW, "failed": Exit.DENIED, **dict.fromkeys(_OPEN, Exit.PENDING)}
    return codes.get(str(answer.get("state")), Exit.UNDECIDED)


def _line(answer: Mapping[str, Any]) -> str:
    of = " to ".join(str(answer[name]) for name in ("first", "second") if answer.get(name))
    standing = f" ({answer['standing']})" if answer.get("standing") else ""
    error = f"  {answer['error']}" if answer.get("error") else ""
    return f"{answer.get('subject')}  {answer.get('kind')}  {of}  {answer.get('state')}{standing}{error}"


def add(commands: Any, command: Callable[..., Any], flags: Callable[..., None], epilog: str) -> None:
    """The parsers of all these; ``command`` and ``flags`` as in ``commands``."""
    group = commands.add_parser("analyses", help="analyses of explanations", epilog=epilog, allow_abbrev=False)
    ways = group.add_subparsers(required=True, metavar="COMMAND")
    flags(command(ways, "list", listed), cursor="of the page before")
    one = command(ways, "request", request)
    flags(one, kind="comparison | drift | fairness", first="number of an explanation", second="number of another")
    flags(one, attribute="what the groups are of", column="which says the group", groups="JSON file: row id and group")
    flags(one, labels="JSON file: row id and what became of it, 0 or 1", threshold="where the decision turns")
    flags(one, favourable="higher | lower", seed="whole number", wait="seconds to wait for the end")
    flags(command(ways, "show", show), id="number")
