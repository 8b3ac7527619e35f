"""Seldon's Python wrapper 1.18: ``data`` with ``ndarray``; its own Flask answers, and says what went wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from explain.serving.clients import open_client
from explain.serving.protocol import ServerFailed
from tests.explain.real import adult, running
from tests.explain.real.agreement import Oracle, agrees
from tests.explain.real.conftest import Serve

pytestmark = pytest.mark.all_servers


@pytest.fixture(scope="module")
def server(serve: Serve) -> Iterator[running.Running]:
    with serve(running.seldon) as started:
        yield started


@pytest.mark.parametrize("rows", ["ndarray", "tensor"])
def test_its_explanations_are_those_of_the_model_in_memory(
    server: running.Running, true: Oracle, say: Callable[[str], None], rows: str
) -> None:
    say(f"Seldon, {rows}, {agrees('seldon_v1', server, true, {'rows': rows})}")


def test_a_missing_number_arrives_as_missing(server: running.Running, true: Oracle) -> None:
    rows = adult.gap()
    client = open_client("seldon_v1", server.url)
    expected = adult.InProcess(true.model).send(rows, wire="").tobytes()
    assert client.send(rows, wire="application/json").tobytes() == expected
    client.close()


def test_rows_of_another_width_are_a_failure_in_the_models_words(server: running.Running) -> None:
    client = open_client("seldon_v1", server.url)
    with pytest.raises(ServerFailed, match="expected: 8, got 3"):
        client.send(adult.narrow(), wire="application/json")
    client.close()
