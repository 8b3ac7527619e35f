"""Look-alikes fold into one box: nothing is lost, no circle appears, and the order of what is given says nothing."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from registry.lineage.drawing import Label, draw
from registry.lineage.folding import LEAST, Folded, fold
from registry.lineage.graph import Edge, topological
from tests.registry.test_lineage_graph import dags

NOBODY: frozenset[str] = frozenset()


def factory(runs: int) -> tuple[list[str], list[Edge]]:
    """One data set read by many runs, each with a version of its own."""
    edges = [Edge("dataset:loans", f"run:{n:03d}") for n in range(runs)]
    edges += [Edge(f"run:{n:03d}", f"version:m/{n}") for n in range(runs)]
    return sorted({end for edge in edges for end in (edge.source, edge.target)}), edges


def test_parallel_runs_and_their_versions_become_two_boxes() -> None:
    nodes, edges = factory(30)
    folded = fold(nodes, edges, frozenset({"dataset:loans"}), NOBODY)
    assert folded.edges == (Edge("dataset:loans", "run:000"), Edge("run:000", "version:m/0"))
    assert {name: len(members) for name, members in folded.members.items()} == {"run:000": 30, "version:m/0": 30}


def test_the_node_in_focus_and_what_leads_to_it_stand_alone() -> None:
    nodes, edges = factory(30)
    folded = fold(nodes, edges, frozenset({"version:m/7"}), NOBODY)
    assert len(folded.members["run:000"]) == 29
    assert Edge("run:007", "version:m/7") in folded.edges


def test_an_opened_box_shows_its_members() -> None:
    nodes, edges = factory(30)
    folded = fold(nodes, edges, NOBODY, frozenset({"run:003"}))
    assert set(folded.members) == {"version:m/0"}
    assert len(folded.edges) == 60


def test_a_pair_stays_a_pair() -> None:
    nodes, edges = factory(LEAST - 1)
    assert fold(nodes, edges, NOBODY, NOBODY) == Folded(tuple(sorted(edges)), {})


@given(dags(), st.randoms(use_true_random=False))
def test_folding_keeps_every_node_once_and_makes_no_circle(
    graph: tuple[list[str], list[Edge]], shuffled: random.Random
) -> None:
    nodes, edges = graph
    alone = frozenset(nodes[:1])
    folded = fold(nodes, edges, alone, NOBODY)
    inside = [each for together in folded.members.values() for each in together]
    assert len(inside) == len(set(inside))
    assert alone.isdisjoint(inside)
    box_of = {each: name for name, together in folded.members.items() for each in together}
    assert {(box_of.get(e.source, e.source), box_of.get(e.target, e.target)) for e in edges} == {
        (e.source, e.target) for e in folded.edges
    }
    shown = {box_of.get(node, node) for node in nodes}
    assert len(topological(shown, folded.edges)) == len(shown)
    shuffled.shuffle(nodes)
    shuffled.shuffle(edges)
    assert fold(nodes, edges, alone, NOBODY) == folded


def test_three_hundred_nodes_draw_the_same_whatever_their_order() -> None:
    nodes, edges = factory(150)
    labels = {node: Label(node, "", node.partition(":")[0]) for node in nodes}
    picture = draw(labels, edges, "dataset:loans")
    assert draw(dict(reversed(labels.items())), list(reversed(edges)), "dataset:loans") == picture
    places = {(box.x, box.y) for box in picture.boxes}
    assert len(places) == len(nodes) == 301
