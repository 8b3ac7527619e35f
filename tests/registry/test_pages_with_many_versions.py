"""Every page of the registry stays within its budget of queries with 10,000 versions loaded."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from tests.conftest import CommittedDatabase
from tests.registry.many import load

#: Address -> queries at most, those of every page (session, person, log) included.
BUDGETS = {
    "/models": 10,
    "/models?q=model&risk=high&environment=place-3&state=serving": 11,
    "/models?page=3": 10,
    "/models/model-00001": 12,
    "/models/model-00001?page=2": 12,
    "/models/model-00001/card": 10,
    "/models/model-00001/change": 6,
    "/models/model-00001/10": 21,
    "/models/model-00001/10/diff": 13,
    "/models/model-00001/10/diff?with=model-00002/3": 13,
    "/datasets": 8,
    "/datasets?unknown=gate&q=data": 8,
    "/datasets?page=100": 8,
    "/datasets/data-00001": 17,
    "/datasets/data-00001/change": 6,
    "/environments": 9,
    "/environments/place-1": 12,
    "/deployments": 8,
    "/deployments?environment=place-3&state=serving&kind=deploy": 9,
    "/deployments?page=200": 8,
}


@pytest.fixture
def crowd(committed_db: CommittedDatabase) -> CommittedDatabase:
    """10,000 versions of 120 models, 5,000 data sets, 10,000 deployments in 12 places."""
    load(committed_db.admin_url, versions=10_000, models=120, datasets=5000)
    return committed_db


def test_each_page_stays_within_its_query_budget(crowd: CommittedDatabase, client_for: Callable[[str], Client]) -> None:
    client = client_for("layla")
    told = {}
    for address in BUDGETS:
        assert client.get(address).status_code == 200, address
        with CaptureQueriesContext(connection) as queries:
            client.get(address)
        told[address] = len(queries)
    over = {address: (count, BUDGETS[address]) for address, count in told.items() if count > BUDGETS[address]}
    assert not over, told
