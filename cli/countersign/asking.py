"""What the commands about a register share: asking with the usual flags, a page of a list, printing."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlencode

from countersign import outputs, settings
from countersign.client import Server
from countersign.exits import Exit, Stop


def server(arguments: argparse.Namespace) -> Server:
    """Where ``--url`` and ``--token`` point."""
    return Server(arguments.url, arguments.token, settings.seconds(arguments.timeout))


def get(arguments: argparse.Namespace, path: str) -> dict[str, Any]:
    """What is there."""
    return server(arguments).get(path, request_id=arguments.request_id or "")


def page(
    arguments: argparse.Namespace,
    shape: str,
    path: str,
    line: Callable[[Mapping[str, Any]], str],
    *,
    none: str,
    **filters: str | None,
) -> int:
    """Print one page of a list, and where the next one is; ``none`` when there is nothing. Filters without a value are
    left out.
    """
    settings.fill(arguments, os.environ, ("url", "token"))
    given = {name: value for name, value in {**filters, "cursor": arguments.cursor}.items() if value}
    answer = get(arguments, f"{path}?{urlencode(given)}" if given else path)
    found = answer.get("results")
    if not isinstance(found, list):
        raise Stop(Exit.UNDECIDED, "The answer has no results.")
    lines = [line(each) for each in found if isinstance(each, dict)] or [none]
    if answer.get("next"):
        lines.append(f"More: --cursor of {answer['next']}")
    return outputs.told(answer, shape, lines)


def post(arguments: argparse.Namespace, path: str, body: dict[str, Any]) -> dict[str, Any]:
    """The answer to a change, which is made once however often it is sent."""
    key = arguments.idempotency_key or settings.fresh_key()
    if not key.isascii() or not key.isprintable() or len(key) > 200:
        raise Stop(Exit.USAGE, "--idempotency-key must be at most 200 printable ASCII characters.")
    return server(arguments).post(path, body, key=key, request_id=arguments.request_id or "")
