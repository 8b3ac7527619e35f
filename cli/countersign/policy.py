"""Policy packs: linted, drafted, tried on the past. Putting one in force is left to a person in the browser."""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from countersign import outputs, settings
from countersign.client import Server
from countersign.exits import Exit, Stop

#: Seconds between two looks at a back-test.
_BREATH = 2.0


def lint(arguments: argparse.Namespace, shape: str) -> int:
    """Compile a pack on the server without keeping it; exits with 2 and each mistake when it is wrong."""
    settings.fill(arguments, os.environ, ("url", "token", "file"))
    answer = _post(arguments, "/api/v1/policies/lint", {"text": _text(arguments.file)})
    line = f"FINE  {answer.get('pack')} v{answer.get('version')}  {answer.get('digest')}"
    return _print(answer, shape, [line])


def draft(arguments: argparse.Namespace, shape: str) -> int:
    """Store a pack as a draft, which decides nothing."""
    settings.fill(arguments, os.environ, ("url", "token", "file", "reason"))
    body = {"text": _text(arguments.file), "reason": arguments.reason}
    answer = _post(arguments, "/api/v1/policies", body)
    return _print(answer, shape, [f"DRAFTED  {answer.get('slug')} v{answer.get('version')}  {answer.get('digest')}"])


def backtest(arguments: argparse.Namespace, shape: str) -> int:
    """Try a stored version on every decision and everything that serves, and wait for what it finds."""
    settings.fill(arguments, os.environ, ("url", "token", "pack", "number"))
    if not arguments.number.isdecimal():
        raise Stop(Exit.USAGE, f"--number {arguments.number!r} is no version of a pack.")
    ends = time.monotonic() + settings.seconds(arguments.wait or "600", name="wait")
    path = f"/api/v1/policies/{quote(arguments.pack, safe='')}/{arguments.number}/backtests"
    answer = _post(arguments, path, {})
    while answer.get("state") == "requested":
        if time.monotonic() > ends:
            raise Stop(Exit.UNDECIDED, f"Back-test {answer.get('id')} is not finished yet.")
        time.sleep(_BREATH)
        answer = _server(arguments).get(f"/api/v1/backtests/{answer.get('id')}", request_id=arguments.request_id or "")
    if answer.get("state") != "finished":
        raise Stop(Exit.UNDECIDED, f"Back-test {answer.get('id')} failed: {answer.get('error')}")
    return _print(answer, shape, _found(answer))


def _found(answer: Mapping[str, Any]) -> list[str]:
    numbers, result = answer.get("numbers"), answer.get("result")
    if not isinstance(numbers, dict) or not isinstance(result, dict):
        raise Stop(Exit.UNDECIDED, "The answer does not say what was found.")
    lines = [
        f"{numbers.get('flips')} of {numbers.get('decisions')} decisions would have come out otherwise,"
        f" {numbers.get('would_fall')} deployments would become non-compliant, {numbers.get('left_out')} left out"
    ]
    for each in result.get("flips", [])[:50]:
        why = ", ".join(each.get("rules", [])) or "sign-offs"
        lines.append(
            f"  {each.get('decision')} {each.get('version')} > {each.get('environment')}: "
            f"{each.get('then')} > {each.get('now')} ({why})"
        )
    return lines


def _text(name: str) -> str:
    try:
        return Path(name).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Stop(Exit.USAGE, f"{name} cannot be read as a text file: {error}.") from error


def _server(arguments: argparse.Namespace) -> Server:
    return Server(arguments.url, arguments.token, settings.seconds(arguments.timeout))


def _post(arguments: argparse.Namespace, path: str, body: dict[str, Any]) -> dict[str, Any]:
    key = arguments.idempotency_key or settings.fresh_key()
    return _server(arguments).post(path, body, key=key, request_id=arguments.request_id or "")


def _print(answer: Mapping[str, Any], shape: str, lines: list[str]) -> int:
    if shape == "json":
        print(json.dumps({**answer, "exit_code": 0}, indent=2, ensure_ascii=False), flush=True)
    else:
        print("\n".join(outputs.plain(line) for line in lines), flush=True)
    return 0
