"""Decisions that were recorded: shown, made again, decided by the policies of today, or shown how they would pass."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator, Mapping
from itertools import zip_longest
from typing import Any
from urllib.parse import quote

from countersign import outputs, settings
from countersign.client import Server
from countersign.exits import Exit, Stop
from countersign.reports import waiver_of

#: What nothing cures is listed up to here.
_SHOWN = 20


def get(arguments: argparse.Namespace, shape: str) -> int:
    """Print a decision as it was recorded."""
    server, path = _asked(arguments)
    answer = server.get(path, request_id=arguments.request_id or "")
    lines = [f"{_text(answer, 'decision').upper()}  {_text(answer, 'decision_id')}  {_text(answer, 'summary')}"]
    findings = answer.get("findings")
    for each in findings if isinstance(findings, list) else []:
        if isinstance(each, dict) and each.get("outcome") in ("fail", "error"):
            excused = f" [excused by {waiver_of(each)}]" if waiver_of(each) else ""
            lines.append(f"  {each.get('rule')}: {each.get('message')}{excused}")
    return outputs.told(answer, shape, lines, Exit.ALLOW)


def replay(arguments: argparse.Namespace, shape: str) -> int:
    """Decide again what was decided; exits with 6 when the same does not come out."""
    server, path = _asked(arguments)
    packs = settings.choice("packs", arguments.packs, ("then", "now"))
    key = arguments.idempotency_key or settings.fresh_key()
    answer = server.post(f"{path}/replay", {"packs": packs}, key=key, request_id=arguments.request_id or "")
    if packs == "now":
        now = answer.get("now")
        if not isinstance(now, dict):
            raise Stop(Exit.UNDECIDED, "The answer does not say what the policies of today decide.")
        recorded = answer.get("recorded")
        then = recorded.get("decision") if isinstance(recorded, dict) else None
        line = f"{arguments.decision}: {then} then, {now.get('decision')} by today's policies"
        return outputs.told(answer, shape, [line, f"  {now.get('summary')}"], Exit.ALLOW)
    if answer.get("same") is True:
        return outputs.told(answer, shape, [f"SAME  {arguments.decision} comes out as it was recorded"], Exit.ALLOW)
    if answer.get("same") is not False:
        raise Stop(Exit.UNDECIDED, "The answer does not say whether the same came out.")
    differences = answer.get("differences")
    lines = [f"NOT THE SAME  {arguments.decision}"]
    lines += [f"  {each}" for each in (differences if isinstance(differences, list) else [])]
    return outputs.told(answer, shape, lines, Exit.MISMATCH)


def ways(arguments: argparse.Namespace, shape: str) -> int:
    """What would let a denied version pass: the smallest sets of actions, who can do them, and where."""
    server, path = _asked(arguments)
    answer = server.get(f"{path}/ways-to-pass", request_id=arguments.request_id or "")
    return outputs.told(answer, shape, [*ways_lines(answer)], Exit.ALLOW)


def ways_lines(answer: Mapping[str, Any]) -> Iterator[str]:
    """The answer as numbered lists. Stops when the answer is none."""
    found, stuck = answer.get("ways"), answer.get("stuck")
    if not isinstance(found, list) or not isinstance(stuck, list):
        raise Stop(Exit.UNDECIDED, "The answer does not say how to pass.")
    if not found and not stuck:
        yield "NOTHING IS MISSING  it is allowed"
    for position, way in enumerate(found):
        yield "TO PASS" if position == 0 else "OR FOR A TIME" if way.get("temporary") else "OR"
        both = zip_longest(way.get("steps", []), way.get("actions", []))  # the signatures are a step without an action
        for number, (step, action) in enumerate(both, start=1):
            yield f"  {number}. {step}"
            if action:
                yield f"     {' or '.join(action.get('who', []))}  {action.get('where', '')}"
    if stuck:
        yield "NOTHING CURES"
    for each in stuck[:_SHOWN]:
        yield f"  {each.get('rule')}: {each.get('message')}  {each.get('reason')}"
    if len(stuck) > _SHOWN:
        yield f"  and {len(stuck) - _SHOWN} more (--output json)"
    if answer.get("tried"):
        yield str(answer.get("computed"))


def _asked(arguments: argparse.Namespace) -> tuple[Server, str]:
    settings.fill(arguments, os.environ, ("url", "token", "decision"))
    server = Server(arguments.url, arguments.token, settings.seconds(arguments.timeout))
    return server, f"/api/v1/decisions/{quote(arguments.decision, safe='')}"


def _text(answer: Mapping[str, Any], name: str) -> str:
    found = answer.get(name)
    if not isinstance(found, str):
        raise Stop(Exit.UNDECIDED, f"The answer has no {name}.")
    return found
