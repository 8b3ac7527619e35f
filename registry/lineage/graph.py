"""Pure graph work on a list of edges: closure, paths, cycles. No Django, no I/O.

Nodes are subjects (``dataset:loans``, ``run:ab12``, ``version:credit/3``); an edge is data flow from source to target.
Every answer is deterministic: neighbours are walked in sorted order.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

Direction = Literal["upstream", "downstream", "both"]


@dataclass(frozen=True, slots=True, order=True)
class Edge:
    """Data flow from ``source`` to ``target``; ``kind`` says what the target owes to the source."""

    source: str
    target: str
    kind: str = ""


def neighbours(edges: Iterable[Edge], direction: Direction) -> dict[str, tuple[str, ...]]:
    """Node -> its next nodes in ``direction``, sorted, each once."""
    found: dict[str, set[str]] = {}
    for edge in edges:
        if direction in ("downstream", "both"):
            found.setdefault(edge.source, set()).add(edge.target)
        if direction in ("upstream", "both"):
            found.setdefault(edge.target, set()).add(edge.source)
    return {node: tuple(sorted(nodes)) for node, nodes in found.items()}


def paths(
    edges: Iterable[Edge], focus: str, direction: Direction, depth: int | None = None
) -> dict[str, tuple[str, ...]]:
    """Every node reachable from ``focus`` in ``direction`` -> one shortest path ``(focus, …, node)``, focus included.

    ``depth`` limits the number of edges; ``None`` is the whole closure. Among shortest paths the one whose nodes sort
    first is taken. ``both`` walks up and down separately: a sibling is not in it.
    """
    if direction == "both":
        listed = tuple(edges)
        return paths(listed, focus, "downstream", depth) | paths(listed, focus, "upstream", depth)
    onward = neighbours(edges, direction)
    found: dict[str, tuple[str, ...]] = {focus: (focus,)}
    queue = deque([focus])
    while queue:
        node = queue.popleft()
        trail = found[node]
        if depth is not None and len(trail) > depth:
            continue
        for following in onward.get(node, ()):
            if following not in found:
                found[following] = (*trail, following)
                queue.append(following)
    return found


def tree(edges: Iterable[Edge], roots: Iterable[str], direction: Literal["upstream", "downstream"]) -> dict[str, str]:
    """Every node reachable from ``roots`` -> the node before it on one shortest way; a root is its own predecessor.

    Each node is visited once, whatever circles there are, and no path is written out: that is ``trail``'s work. Among
    shortest ways the one that is found first with nodes in sorted order is taken.
    """
    onward = neighbours(edges, direction)
    before = {root: root for root in sorted(set(roots))}
    queue = deque(before)
    while queue:
        node = queue.popleft()
        for following in onward.get(node, ()):
            if following not in before:
                before[following] = node
                queue.append(following)
    return before


def trail(before: Mapping[str, str], node: str) -> tuple[str, ...]:
    """The way ``(root, …, node)`` in a ``tree``. Raises ``KeyError`` for a node that it does not reach."""
    found = [node]
    while before[found[-1]] != found[-1]:
        found.append(before[found[-1]])
    return tuple(reversed(found))


def along(edges: Iterable[Edge], source: str, target: str) -> tuple[Edge, ...]:
    """Every edge on any way from ``source`` to ``target``, sorted; none when there is no way."""
    listed = tuple(edges)
    down, up = tree(listed, [source], "downstream"), tree(listed, [target], "upstream")
    return tuple(sorted({edge for edge in listed if edge.source in down and edge.target in up}))


def shortest_paths(edges: Iterable[Edge], source: str, target: str, limit: int) -> tuple[tuple[str, ...], ...]:
    """At most ``limit`` of the shortest ways from ``source`` to ``target``, those whose nodes sort first.

    A dense graph has more ways than anybody can list; the shortest ones are found without walking any other.
    """
    listed = tuple(edges)
    left = _distances(neighbours(listed, "upstream"), target)
    onward = neighbours(listed, "downstream")
    found: list[tuple[str, ...]] = []
    waiting: list[tuple[str, ...]] = [(source,)] if source in left else []
    while waiting and len(found) < limit:
        here = waiting.pop()
        if here[-1] == target:
            found.append(here)
            continue
        closer = left[here[-1]] - 1
        waiting += [(*here, node) for node in reversed(onward.get(here[-1], ())) if left.get(node) == closer]
    return tuple(found)


def deepest(edges: Iterable[Edge], focus: str, direction: Literal["upstream", "downstream"]) -> int:
    """How many steps the farthest node lies away from ``focus``, by its shortest way."""
    return max(_distances(neighbours(edges, direction), focus).values())


def _distances(onward: Mapping[str, tuple[str, ...]], root: str) -> dict[str, int]:
    found = {root: 0}
    queue = deque([root])
    while queue:
        node = queue.popleft()
        for following in onward.get(node, ()):
            if following not in found:
                found[following] = found[node] + 1
                queue.append(following)
    return found


def closure(edges: Iterable[Edge], focus: str, direction: Direction, depth: int | None = None) -> frozenset[str]:
    """The nodes reachable from ``focus``, itself included."""
    return frozenset(paths(edges, focus, direction, depth))


def between(edges: Iterable[Edge], nodes: frozenset[str]) -> tuple[Edge, ...]:
    """The edges whose two ends are both in ``nodes``, sorted."""
    return tuple(sorted(edge for edge in edges if edge.source in nodes and edge.target in nodes))


def cycle_closed_by(edges: Iterable[Edge], source: str, target: str) -> tuple[str, ...]:
    """The path ``target → … → source`` that an edge from ``source`` to ``target`` would close, or ``()``."""
    if source == target:
        return (source,)
    return paths(edges, target, "downstream").get(source, ())


def closing(nodes: Iterable[str], edges: Iterable[Edge]) -> frozenset[Edge]:
    """Edges without which the graph has no circle: those that lead back on a walk from each node, in sorted order."""
    onward: dict[str, list[Edge]] = {}
    for edge in sorted(edges):
        onward.setdefault(edge.source, []).append(edge)
    found: set[Edge] = set()
    done: set[str] = set()
    for root in sorted(nodes):
        open_nodes: dict[str, int] = {root: 0} if root not in done else {}
        trail = list(open_nodes)
        while trail:
            node = trail[-1]
            number = open_nodes[node]
            if number == len(onward.get(node, ())):
                done.add(trail.pop())
                del open_nodes[node]
                continue
            open_nodes[node] = number + 1
            edge = onward[node][number]
            if edge.target in open_nodes:
                found.add(edge)
            elif edge.target not in done:
                open_nodes[edge.target] = 0
                trail.append(edge.target)
    return frozenset(found)


def topological(nodes: Iterable[str], edges: Iterable[Edge]) -> tuple[str, ...]:
    """Sources before targets, ties by name (Kahn 1962). Raises ``ValueError`` on a cycle."""
    listed = sorted(set(nodes))
    inside = between(edges, frozenset(listed))
    waiting: dict[str, int] = dict.fromkeys(listed, 0)
    onward: Mapping[str, tuple[str, ...]] = neighbours(inside, "downstream")
    for targets in onward.values():
        for target in targets:
            waiting[target] += 1
    ready = [node for node in listed if waiting[node] == 0]
    order: list[str] = []
    while ready:
        node = ready.pop(0)
        order.append(node)
        for target in onward.get(node, ()):
            waiting[target] -= 1
            if waiting[target] == 0:
                ready.append(target)
        ready.sort()
    if len(order) != len(listed):
        raise ValueError("the edges contain a cycle")
    return tuple(order)
