"""Lineage as pure graph work: closure, paths, circles, layout, drawing."""

from __future__ import annotations

import itertools
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from registry.lineage.drawing import Label, draw, shortened
from registry.lineage.graph import Edge, between, closure, cycle_closed_by, paths, topological
from registry.lineage.layout import arrange, layers


@st.composite
def dags(draw_one: st.DrawFn) -> tuple[list[str], list[Edge]]:
    size = draw_one(st.integers(1, 14))
    nodes = [f"dataset:n{number:02d}" for number in range(size)]
    shuffled = draw_one(st.permutations(nodes))
    pairs = list(itertools.combinations(shuffled, 2))
    chosen = draw_one(st.lists(st.sampled_from(pairs), unique=True, max_size=30)) if pairs else []
    return nodes, [Edge(source, target, "derived") for source, target in chosen]


def reachable_by_brute_force(edges: list[Edge], focus: str) -> set[str]:
    found = {focus}
    while True:
        more = {edge.target for edge in edges if edge.source in found} - found
        if not more:
            return found
        found |= more


@given(dags())
def test_the_closure_is_what_brute_force_finds(graph: tuple[list[str], list[Edge]]) -> None:
    nodes, edges = graph
    turned = [Edge(edge.target, edge.source, edge.kind) for edge in edges]
    for node in nodes:
        assert closure(edges, node, "downstream") == reachable_by_brute_force(edges, node)
        assert closure(edges, node, "upstream") == reachable_by_brute_force(turned, node)


@given(dags())
def test_every_path_is_made_of_edges_and_is_a_shortest_one(graph: tuple[list[str], list[Edge]]) -> None:
    nodes, edges = graph
    known = {(edge.source, edge.target) for edge in edges}
    for node, trail in paths(edges, nodes[0], "downstream").items():
        assert (trail[0], trail[-1]) == (nodes[0], node)
        assert all(step in known for step in itertools.pairwise(trail))
        shorter = closure(edges, nodes[0], "downstream", len(trail) - 2) if len(trail) > 1 else frozenset()
        assert node not in shorter


@given(dags())
def test_a_circle_is_named_exactly_when_one_would_be_closed(graph: tuple[list[str], list[Edge]]) -> None:
    nodes, edges = graph
    for source, target in itertools.product(nodes, nodes):
        circle = cycle_closed_by(edges, source, target)
        assert bool(circle) == (source in reachable_by_brute_force(edges, target))


def test_a_cycle_has_no_order() -> None:
    with pytest.raises(ValueError, match="cycle"):
        topological(["a", "b"], [Edge("a", "b"), Edge("b", "a")])


@given(dags())
@settings(deadline=None)
def test_sources_are_left_of_targets_and_no_two_nodes_overlap(graph: tuple[list[str], list[Edge]]) -> None:
    nodes, edges = graph
    layout = arrange(nodes, edges)
    place = {each.node: each for each in layout.places}
    assert set(place) == set(nodes)
    assert all(place[edge.source].layer < place[edge.target].layer for edge in edges)
    drawing = draw({node: Label(node, "", "dataset") for node in nodes}, edges, nodes[0])
    for one, other in itertools.combinations(drawing.boxes, 2):
        apart_x = abs(one.x - other.x) >= one.width
        apart_y = abs(one.y - other.y) >= one.height
        assert apart_x or apart_y
    assert all(box.x >= 0 and box.x + box.width <= drawing.width for box in drawing.boxes)
    assert all(box.y >= 0 and box.y + box.height <= drawing.height for box in drawing.boxes)


@given(dags(), st.randoms(use_true_random=False))
@settings(deadline=None)
def test_the_picture_does_not_depend_on_the_order_of_what_is_given(
    graph: tuple[list[str], list[Edge]], random: object
) -> None:
    nodes, edges = graph
    other_nodes, other_edges = list(nodes), list(edges)
    random.shuffle(other_nodes)  # type: ignore[attr-defined]
    random.shuffle(other_edges)  # type: ignore[attr-defined]
    assert arrange(nodes, edges) == arrange(other_nodes, other_edges)


def test_the_picture_is_the_same_in_another_process() -> None:
    program = (
        "from registry.lineage.graph import Edge; from registry.lineage.layout import arrange;"
        "e=[Edge(f'a{i%5}', f'b{i%7}') for i in range(35)]+[Edge('b1','c'),Edge('a1','c')];"
        "print(arrange({x for y in e for x in (y.source,y.target)}, e))"
    )
    pictures = {
        subprocess.run(
            [sys.executable, "-c", program], env={"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True
        ).stdout
        for seed in ("1", "2")
    }
    assert len(pictures) == 1


def test_a_long_edge_goes_around_what_lies_between() -> None:
    edges = [Edge("a", "b"), Edge("b", "c"), Edge("a", "c")]
    layout = arrange("abc", edges)
    long_way = next(route for route in layout.routes if route.edge == Edge("a", "c"))
    assert [layer for layer, _y in long_way.points] == [0, 1, 2]
    between_y = next(place.y for place in layout.places if place.node == "b")
    assert abs(long_way.points[1][1] - between_y) >= 1


def test_a_source_stands_beside_its_first_target() -> None:
    edges = [Edge("a", "b"), Edge("b", "c"), Edge("late", "c")]
    assert layers(["a", "b", "c", "late"], between(edges, frozenset({"a", "b", "c", "late"})))["late"] == 1


def test_two_crossing_edges_are_untangled() -> None:
    edges = [Edge("a", "y"), Edge("b", "x")]
    layout = arrange("abxy", edges)
    y = {place.node: place.y for place in layout.places}
    assert (y["a"] - y["b"]) * (y["y"] - y["x"]) > 0


def test_long_names_keep_both_ends() -> None:
    assert shortened("short", 23) == "short"
    cut = shortened("loans-applications-of-the-second-quarter-2026q3", 23)
    assert len(cut) == 23
    assert cut.startswith("loans-appl")
    assert cut.endswith("2026q3")


def test_an_empty_graph_is_an_empty_picture() -> None:
    assert arrange([], []).places == ()
    assert draw({}, [], "x").boxes == ()
