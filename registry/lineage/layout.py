"""Layered layout of a directed graph, pure and deterministic: the same graph gives the same picture anywhere.

An edge that closes a circle (met on a walk in the order of names) is laid out turned around and runs back.

Layers by longest path from the sources; an edge over several layers goes through dummy nodes; crossings are reduced by
median sweeps (Gansner et al. 1993, "A technique for drawing directed graphs", section 3); positions by a few passes
that pull each node to the median of its neighbours and keep the order and the gap. Units are abstract: one layer apart
on x, one node apart on y; ``drawing`` turns them into pixels.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from registry.lineage.graph import Edge, between, closing, topological

_SWEEPS = 12
_PASSES = 8


@dataclass(frozen=True, slots=True)
class Place:
    """A node's layer (0 = sources) and its y within the picture, in node heights; a gap of at least 1 in a layer."""

    node: str
    layer: int
    y: float


@dataclass(frozen=True, slots=True)
class Route:
    """An edge with the points ``(layer, y)`` that it passes from its source to its target, both included."""

    edge: Edge
    points: tuple[tuple[int, float], ...]


@dataclass(frozen=True, slots=True)
class Layout:
    """Places sorted by layer, then y; routes in the order of the edges; ``layers`` and ``height`` bound the picture."""

    places: tuple[Place, ...]
    routes: tuple[Route, ...]
    layers: int
    height: float


def arrange(nodes: Iterable[str], edges: Iterable[Edge]) -> Layout:
    """Lay out the graph. Edges to nodes that are not in ``nodes`` are left out."""
    listed = tuple(sorted(set(nodes)))
    given = between(edges, frozenset(listed))
    back = closing(listed, given)
    inside = tuple(Edge(edge.target, edge.source, edge.kind) if edge in back else edge for edge in given)
    if not listed:
        return Layout((), (), 0, 0.0)
    layer_of = layers(listed, inside)
    chains = [(edge, _chain(number, edge, layer_of)) for number, edge in enumerate(inside)]
    rows, links = _rows(listed, layer_of, chains)
    _reduce_crossings(rows, links)
    y = _positions(rows, links)
    top = min(y.values())
    places = sorted(
        (Place(node, layer_of[node], round(y[node] - top, 3)) for node in listed),
        key=lambda place: (place.layer, place.y, place.node),
    )
    routes = tuple(
        _route(edge, [(layer_of[laid.source] + step, round(y[name] - top, 3)) for step, name in enumerate(chain)], laid)
        for edge, (laid, chain) in zip(given, chains, strict=True)
    )
    height = max(y.values()) - top + 1
    return Layout(tuple(places), routes, len(rows), round(height, 3))


def _route(edge: Edge, points: list[tuple[int, float]], laid: Edge) -> Route:
    return Route(edge, tuple(points if edge == laid else reversed(points)))


def layers(nodes: Sequence[str], edges: Sequence[Edge]) -> dict[str, int]:
    """Node -> layer: the longest path from a source. A source is then drawn up to the layer before its first target."""
    into: dict[str, list[str]] = {node: [] for node in nodes}
    onward: dict[str, list[str]] = {node: [] for node in nodes}
    for edge in edges:
        into[edge.target].append(edge.source)
        onward[edge.source].append(edge.target)
    order = topological(nodes, edges)
    found: dict[str, int] = {}
    for node in order:
        found[node] = max((found[each] + 1 for each in into[node]), default=0)
    for node in reversed(order):
        if not into[node] and onward[node]:
            found[node] = min(found[each] for each in onward[node]) - 1
    return found


def _chain(number: int, edge: Edge, layer_of: dict[str, int]) -> tuple[str, ...]:
    """The edge's two ends with one dummy per layer between them; ``\\x00`` cannot be part of a subject."""
    between_them = range(layer_of[edge.source] + 1, layer_of[edge.target])
    return (edge.source, *(f"\x00{number:06d}/{layer:04d}" for layer in between_them), edge.target)


def _rows(
    nodes: Sequence[str], layer_of: dict[str, int], chains: Sequence[tuple[Edge, tuple[str, ...]]]
) -> tuple[list[list[str]], dict[str, tuple[list[str], list[str]]]]:
    """Names per layer in their first order, and for each name its neighbours in the layer before and after."""
    rows: list[list[str]] = [[] for _ in range(max(layer_of.values()) + 1)]
    links: dict[str, tuple[list[str], list[str]]] = {}
    for node in nodes:
        rows[layer_of[node]].append(node)
        links[node] = ([], [])
    for edge, chain in chains:
        for step, name in enumerate(chain):
            if name not in links:
                rows[layer_of[edge.source] + step].append(name)
                links[name] = ([], [])
            if step:
                before = chain[step - 1]
                if before not in links[name][0]:
                    links[name][0].append(before)
                    links[before][1].append(name)
    return rows, links


def _reduce_crossings(rows: list[list[str]], links: dict[str, tuple[list[str], list[str]]]) -> None:
    """Order each layer by the median of its neighbours, down and up in turn; keep the order with fewest crossings."""
    best = [list(row) for row in rows]
    fewest = _crossings(rows, links)
    for sweep in range(_SWEEPS):
        if fewest == 0:
            break
        down = sweep % 2 == 0
        numbers = range(1, len(rows)) if down else range(len(rows) - 2, -1, -1)
        for number in numbers:
            fixed = rows[number - 1] if down else rows[number + 1]
            at = {name: index for index, name in enumerate(fixed)}
            own = {name: float(index) for index, name in enumerate(rows[number])}
            side = 0 if down else 1
            key = {name: _median([at[each] for each in links[name][side]], own[name]) for name in rows[number]}
            rows[number].sort(key=lambda name: (key[name], own[name], name))
        found = _crossings(rows, links)
        if found < fewest:
            fewest, best = found, [list(row) for row in rows]
    rows[:] = best


def _crossings(rows: Sequence[Sequence[str]], links: dict[str, tuple[list[str], list[str]]]) -> int:
    """How many pairs of edges between neighbouring layers cross."""
    total = 0
    for row, following in pairwise(rows):
        at = {name: index for index, name in enumerate(following)}
        ends = [at[target] for name in row for target in sorted(links[name][1], key=at.__getitem__)]
        total += sum(1 for index, end in enumerate(ends) for later in ends[index + 1 :] if later < end)
    return total


def _median(values: Sequence[float], otherwise: float) -> float:
    if not values:
        return otherwise
    ordered = sorted(values)
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2


def _positions(rows: Sequence[Sequence[str]], links: dict[str, tuple[list[str], list[str]]]) -> dict[str, float]:
    """y of every name, dummies included: the order of a layer kept, neighbours in a layer at least 1 apart."""
    tallest = max(len(row) for row in rows)
    y = {name: index + (tallest - len(row)) / 2 for row in rows for index, name in enumerate(row)}
    for number in range(_PASSES):
        side = number % 2
        for row in rows if side == 0 else list(reversed(rows)):
            wanted = [_median([y[each] for each in links[name][side]], y[name]) for name in row]
            for name, value in zip(row, _spread(wanted), strict=True):
                y[name] = value
    return y


def _spread(wanted: Sequence[float]) -> list[float]:
    """The closest values (least squares) to ``wanted`` that rise by at least 1: isotonic regression."""
    blocks: list[tuple[float, int]] = []
    for index, value in enumerate(wanted):
        total, count = value - index, 1
        while blocks and blocks[-1][0] / blocks[-1][1] > total / count:
            earlier, size = blocks.pop()
            total, count = total + earlier, count + size
        blocks.append((total, count))
    flat = [total / count for total, count in blocks for _ in range(count)]
    return [round(value + index, 6) for index, value in enumerate(flat)]
