"""What came out of a subject, what went into it, and what it reached: questions that change nothing."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from countersign import outputs, settings
from countersign.client import Server
from countersign.exits import Exit, Stop


def closure(arguments: argparse.Namespace, shape: str) -> int:
    """List everything upstream or downstream of a subject."""
    settings.fill(arguments, os.environ, ("url", "token", "focus"))
    direction = settings.choice("direction", arguments.direction, ("downstream", "upstream"))
    answer = _ask(arguments, "lineage/closure", {"focus": arguments.focus, "direction": direction})
    nodes = _list(answer, "nodes")
    return outputs.told(answer, shape, [f"{len(nodes)} {direction} of {arguments.focus}", *map(str, nodes)])


def paths(arguments: argparse.Namespace, shape: str) -> int:
    """Show how data got from one subject to another."""
    settings.fill(arguments, os.environ, ("url", "token", "source", "target"))
    asked = {"source": arguments.source, "target": arguments.target}
    answer = _ask(arguments, "lineage/paths", asked | ({"limit": arguments.limit} if arguments.limit else {}))
    found = _list(answer, "paths")
    lines = [" > ".join(map(str, path)) for path in found] or [f"No way from {arguments.source} to {arguments.target}"]
    return outputs.told(answer, shape, lines)


def reached(arguments: argparse.Namespace, shape: str) -> int:
    """Tell what a data set, run, version, model or region reached, and where that serves."""
    settings.fill(arguments, os.environ, ("url", "token", "subject"))
    asked = {"subject": arguments.subject} | ({"since": arguments.since} if arguments.since else {})
    answer = _ask(arguments, "blast-radius", asked)
    counts = answer.get("counts")
    if not isinstance(counts, dict):
        raise Stop(Exit.UNDECIDED, "The answer does not say what was reached.")
    lines = [", ".join(f"{number} {name.replace('_', ' ')}" for name, number in counts.items())]
    lines += [_window(each) for each in _list(answer, "deployments") if isinstance(each, dict)]
    return outputs.told(answer, shape, lines)


def _window(each: Mapping[str, Any]) -> str:
    ends = "serves now" if each.get("live") else f"until {each.get('until')}"
    where = f"{each.get('environment')} ({each.get('perimeter')})"
    return f"{each.get('version')} in {where} since {each.get('since')}, {ends}"


def _ask(arguments: argparse.Namespace, path: str, asked: Mapping[str, str]) -> dict[str, Any]:
    server = Server(arguments.url, arguments.token, settings.seconds(arguments.timeout))
    return server.get(f"/api/v1/{path}?{urlencode(asked)}", request_id=arguments.request_id or "")


def _list(answer: Mapping[str, Any], name: str) -> list[Any]:
    found = answer.get(name)
    if not isinstance(found, list):
        raise Stop(Exit.UNDECIDED, f"The answer has no {name}.")
    return found
