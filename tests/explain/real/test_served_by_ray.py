"""Ray Serve 2.60: plain JSON; every error is a 500 without a word."""

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
    with serve(running.ray) as started:
        yield started


def test_its_explanations_are_those_of_the_model_in_memory(
    server: running.Running, true: Oracle, say: Callable[[str], None]
) -> None:
    say(f"Ray Serve, {agrees('ray', server, true)}")


def test_a_missing_number_arrives_as_missing(server: running.Running, true: Oracle) -> None:
    rows = adult.gap()
    client = open_client("ray", server.url)
    expected = adult.InProcess(true.model).send(rows, wire="").tobytes()
    assert client.send(rows, wire="application/json").tobytes() == expected
    client.close()


def test_rows_of_another_width_are_a_failure_and_no_answer(server: running.Running) -> None:
    client = open_client("ray", server.url)
    with pytest.raises(ServerFailed, match="500"):
        client.send(adult.narrow(), wire="application/json")
    client.close()
