"""Closures, ways and blast radius in 1,000 random graphs, circles included, against a reference that enumerates.

The reference is written for this test alone: it multiplies the adjacency matrix until nothing is added and lists every
simple path by recursion. Edges go in past the rule that lineage has no circles, as its owner could, because what reads
them must not depend on it.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from governance import blast
from registry.lineage import reach
from registry.lineage.graph import Edge, along, closure, shortest_paths, trail, tree
from registry.queries import edges_from
from tests.conftest import CommittedDatabase

GRAPHS = 1_000
BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
KINDS = ("dataset", "run", "version")


class Graph:
    """One graph whose nodes no other graph has; some of its versions served, in windows of whole days."""

    def __init__(self, number: int) -> None:
        dice = random.Random(number)
        size = dice.randint(2, 8)
        self.nodes = [self._name(number, place, dice.choice(KINDS)) for place in range(size)]
        pairs = [(a, b) for a in self.nodes for b in self.nodes if a != b]
        self.pairs = dice.sample(pairs, dice.randint(1, min(len(pairs), 2 * size)))
        self.edges = [Edge(source, target, "derived") for source, target in self.pairs]
        self.source, self.target = dice.sample(self.nodes, 2)
        self.windows: list[tuple[str, int, int | None]] = []
        for node in self.nodes:
            if node.startswith("version:"):
                self.windows += [(node, *self._window(dice, ends=place > 0)) for place in range(dice.randint(0, 2))]
        self.day = dice.randint(0, 40)

    @staticmethod
    def _name(number: int, place: int, kind: str) -> str:
        return f"version:m{number}/{place + 1}" if kind == "version" else f"{kind}:g{number}-{place}"

    @staticmethod
    def _window(dice: random.Random, *, ends: bool) -> tuple[int, int | None]:
        since = dice.randint(0, 30)
        return since, None if dice.random() < 0.4 and not ends else since + dice.randint(1, 10)

    # the reference

    def reached(self) -> dict[str, set[str]]:
        """node -> everything downstream of it, itself included: the powers of the matrix, until one adds nothing."""
        matrix = {a: {a, *(b for x, b in self.pairs if x == a)} for a in self.nodes}
        for _ in self.nodes:
            matrix = {a: {c for b in row for c in matrix[b]} for a, row in matrix.items()}
        return matrix

    def simple_paths(self, here: str, target: str, seen: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
        """Every way that meets no node twice."""
        if here == target:
            yield (*seen, here)
            return
        for source, following in self.pairs:
            if source == here and following not in seen and following != here:
                yield from self.simple_paths(following, target, (*seen, here))

    def walked(self, source: str, target: str) -> set[tuple[str, str]]:
        """The edges of every way, those that go round in a circle included."""
        matrix = self.reached()
        return {(a, b) for a, b in self.pairs if a in matrix[source] and target in matrix[b]}


@pytest.fixture(scope="module")
def graphs() -> list[Graph]:
    """The same thousand in every run."""
    return [Graph(number) for number in range(GRAPHS)]


def test_the_graphs_have_circles_short_cuts_and_dead_ends(graphs: list[Graph]) -> None:
    circles = sum(any(b in g.reached()[a] and a in g.reached()[b] for a, b in g.pairs) for g in graphs)
    apart = sum(g.target not in g.reached()[g.source] for g in graphs)
    several = sum(len(list(g.simple_paths(g.source, g.target))) > 1 for g in graphs)
    assert min(circles, apart, several) > GRAPHS // 10


def test_the_pure_functions_agree_with_enumeration(graphs: list[Graph]) -> None:
    for graph in graphs:
        matrix = graph.reached()
        for node in graph.nodes:
            above = {other for other in graph.nodes if node in matrix[other]}
            assert closure(graph.edges, node, "downstream") == matrix[node]
            assert set(tree(graph.edges, [node], "upstream")) == above
        both = tree(graph.edges, [graph.source, graph.target], "downstream")
        assert set(both) == matrix[graph.source] | matrix[graph.target]
        _check_ways(graph, graph.edges)


def _check_ways(graph: Graph, edges: list[Edge]) -> None:
    """Shortest ways, the tree's way, and the edges of all ways, from what ``edges`` are."""
    every = sorted(graph.simple_paths(graph.source, graph.target))
    least = min(map(len, every), default=0)
    shortest = [path for path in every if len(path) == least]
    assert list(shortest_paths(edges, graph.source, graph.target, 100)) == shortest
    assert list(shortest_paths(edges, graph.source, graph.target, 1)) == shortest[:1]
    before = tree(edges, [graph.source], "downstream")
    assert (graph.target in before) == bool(every)
    if every:
        assert trail(before, graph.target) in shortest
    found = {(edge.source, edge.target) for edge in along(edges, graph.source, graph.target)}
    assert found == graph.walked(graph.source, graph.target)


@pytest.fixture
def stored(committed_db: CommittedDatabase, graphs: list[Graph]) -> CommittedDatabase:
    """All of them in one database, with models, versions, one environment, and what served."""
    with psycopg.connect(committed_db.admin_url) as connection, connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")
        cursor.execute(
            "INSERT INTO registry_environment (id, slug, name, tier, regions, perimeter, log_sinks, created) VALUES"
            " (1, 'prod-uae', 'UAE', 'prod', '{azure:uaenorth}', 'AE-federal', '{aws:eu-central-1}', now())"
        )
        with cursor.copy("COPY registry_lineageedge (source, target, kind, created) FROM STDIN") as copy:
            for graph in graphs:
                for edge in graph.edges:
                    copy.write_row((edge.source, edge.target, edge.kind, BEGAN))
        with cursor.copy(
            "COPY registry_model (id, name, title, owner, purpose, risk, risk_reason, created) FROM STDIN"
        ) as copy:
            for number in range(GRAPHS):
                copy.write_row((number + 1, f"m{number}", "M", "risk", "Scores", "high", "People", BEGAN))
        _store_nodes(cursor, graphs)
        for table in ("registry_lineageedge", "registry_modelversion", "registry_deployment"):
            cursor.execute(f"ANALYZE {table}")
    return committed_db


def _store_nodes(cursor: psycopg.Cursor[tuple[object, ...]], graphs: list[Graph]) -> None:
    """Rows for every node, and a deployment for every window."""
    digest = "sha256:" + "0" * 64
    keys: dict[str, int] = {}
    columns = "id, model_id, number, digest, run_id, tracking_server, trained_by, metrics, schema, source_uri, created"
    with cursor.copy(f"COPY registry_modelversion ({columns}) FROM STDIN") as copy:
        for number, graph in enumerate(graphs, start=1):
            for node in graph.nodes:
                if node.startswith("version:"):
                    keys[node] = len(keys) + 1
                    place = node.rpartition("/")[2]
                    copy.write_row((keys[node], number, place, digest, "", "", '["yusuf"]', "{}", "{}", "", BEGAN))
    columns = "name, digest, classification, subjects, regions, source_uri, confirmed, created"
    with cursor.copy(f"COPY registry_dataset ({columns}) FROM STDIN") as copy:
        for name in (node.removeprefix("dataset:") for graph in graphs for node in graph.nodes if "dataset" in node):
            copy.write_row((name, "", "personal", "{AE}", "{azure:uaenorth}", "", False, BEGAN))
    with cursor.copy(
        "COPY registry_run (run_id, tracking_server, name, contributors, params, metrics) FROM STDIN"
    ) as c:
        for name in (node.removeprefix("run:") for graph in graphs for node in graph.nodes if "run" in node):
            c.write_row((name, "", "", '["yusuf"]', "{}", "{}"))
    columns = "environment_id, model_id, version_id, kind, strategy, weight, digest, decision_id, permit_id, actor_id,"
    columns += " since, until, reason, incident"
    with cursor.copy(f"COPY registry_deployment ({columns}) FROM STDIN") as copy:
        for number, graph in enumerate(graphs, start=1):
            for node, since, until in graph.windows:
                ends = BEGAN + timedelta(days=until) if until is not None else None
                row = (1, number, keys[node], "deploy", "shadow", 0, digest, "", "", "user:x", BEGAN)
                copy.write_row((*row[:-1], BEGAN + timedelta(days=since), ends, "", ""))


def test_the_database_agrees_with_enumeration_for_closure_ways_and_blast_radius(
    stored: CommittedDatabase, graphs: list[Graph]
) -> None:
    for graph in graphs:
        matrix = graph.reached()
        down, up = matrix[graph.source], {node for node in graph.nodes if graph.target in matrix[node]}
        assert set(reach.nodes_reached([graph.source], "downstream")) == down
        assert set(reach.nodes_reached([graph.target], "upstream")) == up
        wanted = {(a, b) for a, b in graph.pairs if a in down}
        assert {(edge.source, edge.target) for edge in edges_from(graph.source, "downstream")} == wanted
        _check_depth(graph)
        between = list(reach.edges_between(graph.source, graph.target))
        assert {(edge.source, edge.target) for edge in between} == graph.walked(graph.source, graph.target)
        _check_ways(graph, between)
        _check_blast(graph, down)


def _check_depth(graph: Graph) -> None:
    """Two steps: what an enumeration of walks of length two and less goes over."""
    first = {(a, b) for a, b in graph.pairs if a == graph.source}
    second = {(a, b) for a, b in graph.pairs if a in {b for _a, b in first}}
    found = {(edge.source, edge.target) for edge in edges_from(graph.source, "downstream", 2)}
    assert found == first | second


def _check_blast(graph: Graph, down: set[str]) -> None:
    """Versions, and the deployments whose window overlaps everything since a day."""
    since = BEGAN + timedelta(days=graph.day)
    found = blast.radius(graph.source, since=since)
    assert [row.subject for row, _path in found.versions] == sorted(
        (node for node in down if node.startswith("version:")), key=lambda node: int(node.rpartition("/")[2])
    )
    wanted = sorted(
        (node, BEGAN + timedelta(days=first), last is None)
        for node, first, last in graph.windows
        if node in down and (last is None or BEGAN + timedelta(days=last) > since)
    )
    windows = [(each.deployment.version.subject, each.deployment.since, each.live) for each in found.windows]
    assert sorted(windows) == wanted
    assert {run for run, _path in found.runs} == {node for node in down if node.startswith("run:")}
    assert {row.subject for row, _path in found.data_sets} == {node for node in down if node.startswith("dataset:")}
    known = set(graph.pairs)
    for row, path in found.versions:
        assert (path[0], path[-1]) == (graph.source, row.subject)
        assert all(step in known for step in itertools.pairwise(path))


def test_a_dense_graph_is_walked_once_for_each_node(committed_db: CommittedDatabase) -> None:
    """Sixty layers of six nodes, each joined to all of the next: 6^60 walks, 2,124 edges."""
    with psycopg.connect(committed_db.admin_url) as connection, connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")
        with cursor.copy("COPY registry_lineageedge (source, target, kind, created) FROM STDIN") as copy:
            for layer in range(59):
                for a in range(6):
                    for b in range(6):
                        copy.write_row((f"dataset:n{layer}-{a}", f"dataset:n{layer + 1}-{b}", "derived", BEGAN))
    assert len(reach.nodes_reached(["dataset:n0-0"], "downstream")) == 59 * 6 + 1
    assert len(edges_from("dataset:n0-0", "downstream")) == 58 * 36 + 6
    assert len(edges_from("dataset:n0-0", "downstream", 50)) == 49 * 36 + 6
    between = reach.edges_between("dataset:n0-0", "dataset:n59-5")
    assert len(between) == 57 * 36 + 12
    ways = shortest_paths(between, "dataset:n0-0", "dataset:n59-5", 3)
    assert [len(way) for way in ways] == [60, 60, 60]
    assert ways[0][1:59] == tuple(f"dataset:n{layer}-0" for layer in range(1, 59))
