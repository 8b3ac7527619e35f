"""Closures and ways in the database: recursive SQL that visits each node once, whatever circles and short cuts.

A recursion that carries its depth or its path meets a node once for each of them, which in a dense graph never ends.
Here ``UNION`` keeps nodes alone; how far away they lie, ``registry.lineage.graph`` says afterwards.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from django.db import connection

from registry.lineage.graph import Edge

Way = Literal["upstream", "downstream"]
#: direction -> (column where a step begins, column where it ends)
ENDS: dict[Way, tuple[str, str]] = {"downstream": ("source", "target"), "upstream": ("target", "source")}

_REACHED = """{name}(node) AS (
    SELECT unnest(%({name})s::text[])
  UNION
    SELECT e.{far}::text FROM {name} r JOIN registry_lineageedge e ON e.{near} = r.node
)"""
_NODES = "WITH RECURSIVE {reached} SELECT node FROM reached"
_EDGES = """
WITH RECURSIVE {reached}
SELECT e.source, e.target, e.kind FROM reached r JOIN registry_lineageedge e ON e.{near} = r.node ORDER BY 1, 2, 3
"""
_BETWEEN = """
WITH RECURSIVE {down}, {up}
SELECT e.source, e.target, e.kind FROM down d JOIN registry_lineageedge e ON e.source = d.node
WHERE e.target IN (SELECT node FROM up) ORDER BY 1, 2, 3
"""


def nodes_reached(roots: Sequence[str], direction: Way) -> list[str]:
    """Every subject that lies ``direction`` of ``roots``, themselves included, in no order. One query."""
    with connection.cursor() as cursor:
        cursor.execute(nodes_statement(direction), {"reached": list(roots)})
        return [row[0] for row in cursor.fetchall()]


def nodes_statement(direction: Way) -> str:
    """The recursion itself, with the parameter ``reached``: what its benchmark measures alone."""
    return _NODES.format(reached=_reached("reached", direction))


def edges_reached(roots: Sequence[str], direction: Way) -> tuple[Edge, ...]:
    """Every edge that lies ``direction`` of ``roots``, sorted. One query."""
    statement = _EDGES.format(reached=_reached("reached", direction), near=ENDS[direction][0])
    return _edges(statement, reached=list(roots))


def edges_between(source: str, target: str) -> tuple[Edge, ...]:
    """Every edge on any way from ``source`` to ``target``, sorted; none when there is no way. One query."""
    statement = _BETWEEN.format(down=_reached("down", "downstream"), up=_reached("up", "upstream"))
    return _edges(statement, down=[source], up=[target])


def _reached(name: str, direction: Way) -> str:
    near, far = ENDS[direction]
    return _REACHED.format(name=name, near=near, far=far)


def _edges(statement: str, **roots: list[str]) -> tuple[Edge, ...]:
    with connection.cursor() as cursor:
        cursor.execute(statement, roots)
        return tuple(Edge(*row) for row in cursor.fetchall())
