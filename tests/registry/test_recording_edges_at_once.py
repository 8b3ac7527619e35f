"""Two who record the same edges at the same time: the second waits, finds them, and writes nothing."""

from __future__ import annotations

import threading

import pytest
from django.db import connection, transaction

from registry import datasets
from registry.lineage import edges
from registry.lineage.graph import Edge
from registry.models import LineageEdge
from tests.conftest import CommittedDatabase
from tests.registry.catalogue import BY


@pytest.fixture
def flow(committed_db: CommittedDatabase) -> Edge:
    """An edge that nobody has recorded yet."""
    for name in ("loans", "features"):
        datasets.register_dataset(name, classification="none", subjects=[], regions_held=[], by=BY)
    return Edge("dataset:loans", "dataset:features", "derived")


def test_the_second_waits_and_writes_nothing(flow: Edge) -> None:
    written: list[int] = []

    def other() -> None:
        try:
            written.append(edges.record_edges([flow], by=BY))
        finally:
            connection.close()

    late = threading.Thread(target=other)
    with transaction.atomic():
        written.append(edges.record_edges([flow], by=BY))
        late.start()
        late.join(0.3)
        assert late.is_alive(), "it must wait for the lock, or it would record the edge a second time"
    late.join(30)
    assert written == [1, 0]
    assert LineageEdge.objects.count() == 1
