"""What hangs on versions without being lineage itself: deployments, and what the apps above bring (explanations).

A fact goes up: the app that owns a table registers how its rows are named and whose they are; nobody here imports it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import Any

from django.db import connection

from registry.lineage.graph import Edge

_LABEL = "'version:' || m.name || '/' || v.number"
_JOINED = "registry_modelversion v ON v.id = a.version_id JOIN registry_model m ON m.id = v.model_id"


@dataclass(frozen=True, slots=True)
class Attached:
    """``of`` gives the edges from some versions to what hangs on them, ``owner`` the version of one, or ``""``."""

    of: Callable[[Collection[str]], Iterable[Edge]]
    owner: Callable[[int], str]


_KINDS: dict[str, Attached] = {}


def register(kind: str, table: str, verb: str) -> None:
    """Say that rows of ``table`` with the columns ``id`` and ``version_id`` are called ``<kind>:<id>``.

    ``verb`` is the kind of the edge from the version. The names are constants of ours, never input.
    """
    listed = f"SELECT {_LABEL}, a.id FROM {table} a JOIN {_JOINED} WHERE {_LABEL} = ANY(%s)"  # noqa: S608
    one = f"SELECT {_LABEL} FROM {table} a JOIN {_JOINED} WHERE a.id = %s"  # noqa: S608

    def of(versions: Collection[str]) -> Iterable[Edge]:
        return [Edge(version, f"{kind}:{number}", verb) for version, number in _rows(listed, list(versions))]

    def owner(number: int) -> str:
        return next((str(row[0]) for row in _rows(one, number)), "")

    _KINDS[kind] = Attached(of, owner)


def edges(nodes: Collection[str]) -> list[Edge]:
    """From the versions among ``nodes`` to everything that hangs on them, sorted. One query for each kind."""
    versions = [node for node in nodes if node.startswith("version:")]
    if not versions:
        return []
    return sorted(edge for kind in _KINDS.values() for edge in kind.of(versions))


def owner(subject: str) -> str:
    """The version on which ``subject`` hangs; empty for what hangs on none or does not exist."""
    kind, _colon, number = subject.partition(":")
    if kind not in _KINDS or not (number.isascii() and number.isdigit() and len(number) < 18):
        return ""
    return _KINDS[kind].owner(int(number))


def _rows(statement: str, value: int | list[str]) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement, [value])
        return list(cursor.fetchall())
