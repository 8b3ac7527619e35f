"""Waiting for a pending decision, and reports on a recorded one."""

from __future__ import annotations

import argparse
import math
import os
import re
import time
from typing import Any
from urllib.parse import quote

from countersign import outputs, reports, settings
from countersign.answers import Answer, understand
from countersign.client import Server
from countersign.exits import Exit, Stop

#: Seconds of one request; the server answers «pending» after them.
_POLL = 50
#: Seconds between two requests that were not kept waiting: the server has no place, or is older.
_PAUSE = 5.0
_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600}
_LONGEST = 24 * 3600


def wait(arguments: argparse.Namespace, shape: str) -> int:
    """Wait until a pending decision is decided; exits as check does, with 3 when the time is over."""
    settings.fill(arguments, os.environ, ("url", "token", "decision"))
    left = duration(getattr(arguments, "for") or "30m", name="for")
    server = Server(arguments.url, arguments.token, settings.seconds(arguments.timeout))
    recorded = server.get(_path(arguments.decision), request_id=arguments.request_id or "")
    asked = asked_of(recorded, arguments.decision)
    answer = until_decided(server, arguments.decision, asked, left, request_id=arguments.request_id or "")
    if arguments.save:
        outputs.save(arguments.save, answer.raw)
    print(outputs.SHAPES[shape](answer, asked), flush=True)
    return answer.code


def explain(arguments: argparse.Namespace, shape: str) -> int:
    """Print a recorded decision as a report. Exits with 0 whatever was decided: it shows, it does not ask."""
    settings.fill(arguments, os.environ, ("url", "token", "decision"))
    server = Server(arguments.url, arguments.token, settings.seconds(arguments.timeout))
    path = f"{_path(arguments.decision)}/explain?format=json"
    told = server.get(path, request_id=arguments.request_id or "")
    if told.get("decision_id") != arguments.decision or reports.word(told) != told.get("decision"):
        raise Stop(Exit.UNDECIDED, f"The answer is not the decision {arguments.decision}.")
    if shape == "table":
        shown = Answer(told, reports.word(told), Exit.ALLOW)
        print(outputs.as_table(shown, asked_of(told, arguments.decision)), flush=True)
    else:
        print(reports.SHAPES[shape](told), flush=True)
    return Exit.ALLOW


def until_decided(
    server: Server, decision: str, asked: dict[str, Any], seconds: float, *, request_id: str = ""
) -> Answer:
    """The answer that is no longer pending, or the last pending one when ``seconds`` are over.

    Raises ``Stop`` as soon as the server does not answer: a server that dies meanwhile decided nothing.
    """
    ends = time.monotonic() + seconds
    while True:
        poll = max(0, min(_POLL, math.ceil(ends - time.monotonic())))
        began = time.monotonic()
        patient = Server(server.url, server.token, server.timeout + poll)
        path = f"/api/v1/gate/checks/{quote(decision, safe='')}/wait?timeout={poll}"
        answer = understand(patient.get(path, request_id=request_id), asked)
        left = ends - time.monotonic()
        if answer.code != Exit.PENDING or left <= 0:
            return answer
        decision = answer.text("decision_id")
        if time.monotonic() - began < min(poll, _PAUSE):
            time.sleep(min(_PAUSE, left))


def asked_of(recorded: dict[str, Any], decision: str) -> dict[str, Any]:
    """What was asked when ``recorded`` was decided: later answers must be about the same. Raises ``Stop``."""
    model, environment = recorded.get("model"), recorded.get("environment")
    if recorded.get("decision_id") != decision or not isinstance(model, dict) or not isinstance(environment, str):
        raise Stop(Exit.UNDECIDED, f"The answer is not the decision {decision}.")
    kept = {name: value for name, value in model.items() if isinstance(value, str) and value}
    return {"model": kept, "environment": environment, "action": str(recorded.get("action")), "mode": "enforce"}


def duration(text: str, *, name: str) -> float:
    """``90``, ``90s``, ``30m`` or ``2h`` in seconds. Raises ``Stop`` (usage) for anything else, and for over a day."""
    found = re.fullmatch(r"(\d{1,6})([smh]?)", text.strip(), re.ASCII)
    seconds = int(found[1]) * _UNITS[found[2]] if found else 0
    if not 0 < seconds <= _LONGEST:
        raise Stop(Exit.USAGE, f"--{name} {text!r} is no time such as 90s, 30m or 2h, up to 24h.")
    return float(seconds)


def _path(decision: str) -> str:
    return f"/api/v1/decisions/{quote(decision, safe='')}"
