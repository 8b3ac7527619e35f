"""Policy packs: linted, drafted, tried on the past. Putting one in force is left to a person in the browser."""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from countersign import asking, outputs, settings
from countersign.exits import Exit, Stop

#: Seconds between two looks at a back-test.
_BREATH = 2.0


def lint(arguments: argparse.Namespace, shape: str) -> int:
    """Compile a pack on the server without keeping it; exits with 2 and each mistake when it is wrong."""
    settings.fill(arguments, os.environ, ("url", "token", "file"))
    answer = asking.post(arguments, "/api/v1/policies/lint", {"text": _text(arguments.file)})
    line = f"FINE  {answer.get('pack')} v{answer.get('version')}  {answer.get('digest')}"
    return outputs.told(answer, shape, [line])


def test(arguments: argparse.Namespace, shape: str) -> int:
    """Run the cases of a pack on the server without keeping it; exits with 1 when one does not hold."""
    settings.fill(arguments, os.environ, ("url", "token"))
    if not arguments.file:
        raise Stop(Exit.USAGE, "Missing: FILE (or COUNTERSIGN_FILE).")
    answer = asking.post(arguments, "/api/v1/policies/test", {"text": _text(arguments.file)})
    cases = answer.get("cases")
    if not isinstance(cases, list) or not all(isinstance(each, dict) for each in cases):
        raise Stop(Exit.UNDECIDED, "The answer does not say what came out of the cases.")
    if not cases:
        raise Stop(Exit.USAGE, f"{arguments.file} has no cases, so nothing was tried.")
    failing = [each for each in cases if each.get("holds") is not True]
    code = Exit.DENIED if failing else Exit.ALLOW
    head = f"{'FAIL' if failing else 'HOLD'}  {answer.get('pack')} v{answer.get('version')}  "
    lines = [f"{head}{len(cases) - len(failing)} of {len(cases)} cases hold", *(_failures(failing) if failing else ())]
    return outputs.told(answer, shape, lines, code)


def draft(arguments: argparse.Namespace, shape: str) -> int:
    """Store a pack as a draft, which decides nothing."""
    settings.fill(arguments, os.environ, ("url", "token", "file", "reason"))
    body = {"text": _text(arguments.file), "reason": arguments.reason}
    answer = asking.post(arguments, "/api/v1/policies", body)
    return outputs.told(
        answer, shape, [f"DRAFTED  {answer.get('slug')} v{answer.get('version')}  {answer.get('digest')}"]
    )


def backtest(arguments: argparse.Namespace, shape: str) -> int:
    """Try a stored version on every decision and everything that serves, and wait for what it finds."""
    settings.fill(arguments, os.environ, ("url", "token", "pack", "number"))
    if not arguments.number.isdecimal():
        raise Stop(Exit.USAGE, f"--number {arguments.number!r} is no version of a pack.")
    ends = time.monotonic() + settings.seconds(arguments.wait or "600", name="wait")
    path = f"/api/v1/policies/{quote(arguments.pack, safe='')}/{arguments.number}/backtests"
    answer = asking.post(arguments, path, {})
    while answer.get("state") == "requested":
        if time.monotonic() > ends:
            raise Stop(Exit.UNDECIDED, f"Back-test {answer.get('id')} is not finished yet.")
        time.sleep(_BREATH)
        answer = asking.get(arguments, f"/api/v1/backtests/{answer.get('id')}")
    if answer.get("state") != "finished":
        raise Stop(Exit.UNDECIDED, f"Back-test {answer.get('id')} failed: {answer.get('error')}")
    return outputs.told(answer, shape, _found(answer))


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


def _failures(cases: Sequence[Mapping[str, Any]]) -> list[str]:
    """A table: where, which case, which rule, what was expected and what was found."""
    rows = [("LINE", "CASE", "RULE", "EXPECTED", "FOUND")]
    for case in cases:
        rows += [
            (
                str(each.get("line")),
                str(case.get("name")),
                str(each.get("rule") or "the pack"),
                _outcome(each.get("expected")),
                _outcome(each.get("found")),
            )
            for each in case.get("expectations") or ()
            if each.get("holds") is not True
        ]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    return [
        "  " + "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[4]])
        for row in rows
    ]


def _outcome(found: Any) -> str:
    """``fail (in_region): why``."""
    if not isinstance(found, dict):
        return "?"
    failed = ", ".join(map(str, found.get("failed") or ()))
    why = f": {found['why']}" if found.get("why") else ""
    return f"{found.get('outcome')}{f' ({failed})' if failed else ''}{why}"


def _text(name: str) -> str:
    try:
        return Path(name).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Stop(Exit.USAGE, f"{name} cannot be read as a text file: {error}.") from error
