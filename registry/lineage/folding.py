"""Folding of nodes that stand in the same place: thirty runs of one data set with a version each become two boxes.

Two nodes fold when they are of one kind and cannot be told apart by what leads to them and what they lead to (the
coarsest stable partition: bisimulation, Kanellakis and Smolka 1990, refined by colours until nothing changes). Folding
an acyclic graph so gives an acyclic one: were there a circle of folded nodes, every member would have a predecessor in
the circle, and a finite acyclic graph has no endless way back. Look-alikes on one circle fold into each other.
No Django, no I/O; the same graph folds the same way.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from registry.lineage.graph import Edge, neighbours

#: Fewer than these stay boxes of their own.
LEAST = 3


@dataclass(frozen=True, slots=True)
class Folded:
    """``members`` by the name of their box: its first member's subject. Edges end at boxes, each once."""

    edges: tuple[Edge, ...]
    members: dict[str, tuple[str, ...]]


def fold(nodes: Iterable[str], edges: Iterable[Edge], alone: frozenset[str], opened: frozenset[str]) -> Folded:
    """The graph with its look-alikes folded. Nodes in ``alone`` fold with nobody; ``opened`` ones keep theirs open.

    Kinds are the words before the colon of a subject.
    """
    listed, flow = tuple(sorted(set(nodes))), tuple(edges)
    box_of = {node: node for node in listed}
    members: dict[str, tuple[str, ...]] = {}
    for together in _classes(listed, flow, alone):
        if len(together) >= LEAST and opened.isdisjoint(together):
            members[together[0]] = together
            box_of |= dict.fromkeys(together, together[0])
    ends = [(box_of[edge.source], box_of[edge.target], edge.kind) for edge in flow]
    kept = {Edge(source, target, kind) for source, target, kind in ends if source != target}
    return Folded(tuple(sorted(kept)), members)


def _classes(nodes: tuple[str, ...], edges: tuple[Edge, ...], alone: frozenset[str]) -> list[tuple[str, ...]]:
    """The coarsest partition in which members of a class have neighbours in the same classes, before and after."""
    before, after = neighbours(edges, "upstream"), neighbours(edges, "downstream")
    colour = _numbered({node: (node if node in alone else "", node.partition(":")[0]) for node in nodes})
    while True:
        seen = {
            node: (
                colour[node],
                tuple(sorted({colour[each] for each in before.get(node, ())})),
                tuple(sorted({colour[each] for each in after.get(node, ())})),
            )
            for node in nodes
        }
        finer = _numbered(seen)
        if len(set(finer.values())) == len(set(colour.values())):
            break
        colour = finer
    found: dict[int, list[str]] = {}
    for node in nodes:
        found.setdefault(colour[node], []).append(node)
    return [tuple(each) for each in found.values()]


def _numbered(seen: Mapping[str, tuple[object, ...]]) -> dict[str, int]:
    numbers: dict[tuple[object, ...], int] = {}
    return {node: numbers.setdefault(what, len(numbers)) for node, what in seen.items()}
