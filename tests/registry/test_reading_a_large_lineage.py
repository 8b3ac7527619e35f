"""The lineage page with three hundred nodes: folded, unfolded, opened, and only the ways between two."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from registry.models import LineageEdge
from tests.registry.catalogue import BY
from tests.registry.large_lineage import NODES, build

pytestmark = pytest.mark.django_db
Browser = Callable[[str], Client]
FOCUS = "/lineage?focus=dataset:applications&direction=both&depth=10"


@pytest.fixture
def large(db: None) -> None:
    build(BY)


def page(client: Client, address: str, status: int = 200) -> str:
    answer = client.get(address)
    assert answer.status_code == status
    return answer.content.decode()


def test_look_alikes_are_folded_and_a_box_opens(large: None, client_for: Browser) -> None:
    client = client_for("noor")
    folded = page(client, FOCUS)
    assert f"{NODES} nodes." in folded
    boxes = folded.count("lineage-node kind-")
    assert boxes < 40
    opened = page(client, f"{FOCUS}&open=run:train-000")
    assert boxes < opened.count("lineage-node kind-") < NODES
    assert page(client, f"{FOCUS}&fold=off").count("lineage-node kind-") == NODES


def test_the_table_has_every_edge_whatever_is_folded(large: None, client_for: Browser) -> None:
    assert page(client_for("noor"), FOCUS).count('<tr><th scope="row">') == LineageEdge.objects.count()


def test_only_the_ways_between_two_are_shown(large: None, client_for: Browser) -> None:
    shown = page(client_for("noor"), "/lineage?focus=dataset:applications&to=version:scoring-000/1")
    assert "2 steps lie between the two on the shortest way." in shown
    assert shown.count("lineage-node kind-") == 3


def test_no_way_is_said(large: None, client_for: Browser) -> None:
    shown = page(client_for("noor"), "/lineage?focus=version:scoring-000/1&to=version:scoring-001/1")
    assert "No data flow from one to the other." in shown


@pytest.mark.parametrize("wrong", ["to=dataset:nobody", "fold=perhaps", "&".join(["open=run:x"] * 51)])
def test_a_wrong_question_is_said(large: None, client_for: Browser, wrong: str) -> None:
    assert 'role="alert"' in page(client_for("noor"), f"{FOCUS}&{wrong}", 400)


def test_the_page_asks_as_much_for_three_hundred_nodes_as_for_three(
    large: None, client_for: Browser, django_assert_max_num_queries: Any
) -> None:
    client = client_for("noor")
    page(client, FOCUS)
    with django_assert_max_num_queries(12):
        page(client, FOCUS)
    with django_assert_max_num_queries(12):
        page(client, "/lineage?focus=run:train-000&depth=1")
