"""Decisions that were recorded: shown, made again, or decided by the policies of today."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from countersign import outputs, settings
from countersign.client import Server
from countersign.exits import Exit, Stop


def get(arguments: argparse.Namespace, shape: str) -> int:
    """Print a decision as it was recorded."""
    server, path = _asked(arguments)
    answer = server.get(path, request_id=arguments.request_id or "")
    lines = [f"{_text(answer, 'decision').upper()}  {_text(answer, 'decision_id')}  {_text(answer, 'summary')}"]
    findings = answer.get("findings")
    for each in findings if isinstance(findings, list) else []:
        if isinstance(each, dict) and each.get("outcome") in ("fail", "error"):
            lines.append(f"  {each.get('rule')}: {each.get('message')}")
    return _print(answer, shape, lines, Exit.ALLOW)


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
        return _print(answer, shape, [line, f"  {now.get('summary')}"], Exit.ALLOW)
    if answer.get("same") is True:
        return _print(answer, shape, [f"SAME  {arguments.decision} comes out as it was recorded"], Exit.ALLOW)
    if answer.get("same") is not False:
        raise Stop(Exit.UNDECIDED, "The answer does not say whether the same came out.")
    differences = answer.get("differences")
    lines = [f"NOT THE SAME  {arguments.decision}"]
    lines += [f"  {each}" for each in (differences if isinstance(differences, list) else [])]
    return _print(answer, shape, lines, Exit.MISMATCH)


def _asked(arguments: argparse.Namespace) -> tuple[Server, str]:
    settings.fill(arguments, os.environ, ("url", "token", "decision"))
    server = Server(arguments.url, arguments.token, settings.seconds(arguments.timeout))
    return server, f"/api/v1/decisions/{quote(arguments.decision, safe='')}"


def _text(answer: Mapping[str, Any], name: str) -> str:
    found = answer.get(name)
    if not isinstance(found, str):
        raise Stop(Exit.UNDECIDED, f"The answer has no {name}.")
    return found


def _print(answer: Mapping[str, Any], shape: str, lines: list[str], code: Exit) -> int:
    if shape == "json":
        print(json.dumps({**answer, "exit_code": int(code)}, indent=2, ensure_ascii=False), flush=True)
    else:
        print("\n".join(outputs.plain(line) for line in lines), flush=True)
    return code
