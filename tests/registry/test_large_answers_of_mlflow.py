"""Answers of MLflow that are too large: asked for in halves, or refused with a sentence."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest

from audit.refusals import Refused
from registry.sources import mlflow_client
from registry.sources.mlflow_client import Client
from registry.sources.servers import FIRST, TrackingServer
from tests.registry.tracking import Answer, standing_in

#: Runs that each request asked for.
asked: list[int] = []


def runs(_path: str, body: bytes) -> Answer:
    ids = re.findall(r"'(\w+)'", json.loads(body)["filter"])
    asked.append(len(ids))
    answer = {"runs": [{"info": {"run_id": each}, "padding": "x" * 300} for each in ids]}
    return 200, json.dumps(answer).encode(), {}


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    asked.clear()
    monkeypatch.setattr(mlflow_client, "MAX_ANSWER", 1200)
    with standing_in(lambda _path: (404, b"", {}), None, runs) as url, Client(TrackingServer(FIRST, url)) as found:
        yield found


def test_runs_whose_answer_is_too_large_are_asked_for_in_halves(client: Client) -> None:
    wanted = [f"r{number}" for number in range(10)]
    assert list(client.runs(wanted, ["0"])) == wanted
    assert asked == [10, 5, 2, 3, 5, 2, 3]


def test_one_run_that_is_too_large_is_refused_with_its_address(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mlflow_client, "MAX_ANSWER", 100)
    with pytest.raises(Refused, match="answers with more than 0 MiB") as refusal:
        client.runs(["r1"], ["0"])
    assert refusal.value.code == "mlflow.too_large"
    assert asked == [1]
