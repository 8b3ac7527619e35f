"""BentoML 1.4: plain JSON, a bare list as the answer, and no place for a missing number."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from explain.serving.clients import open_client
from explain.serving.protocol import RequestRefused, ServerFailed
from tests.explain.real import adult, running
from tests.explain.real.agreement import Oracle, agrees
from tests.explain.real.conftest import Serve

pytestmark = pytest.mark.all_servers


@pytest.fixture(scope="module")
def server(serve: Serve) -> Iterator[running.Running]:
    with serve(running.bentoml) as started:
        yield started


def test_its_explanations_are_those_of_the_model_in_memory(
    server: running.Running, true: Oracle, say: Callable[[str], None]
) -> None:
    say(f"BentoML, {agrees('bentoml', server, true)}")


def test_a_missing_number_is_refused_with_its_place(server: running.Running) -> None:
    client = open_client("bentoml", server.url)
    with pytest.raises(RequestRefused, match=r"instances.*3.*0"):
        client.send(adult.gap(), wire="application/json")
    client.close()


def test_another_name_for_the_rows_is_refused_with_the_name_that_it_wants(server: running.Running) -> None:
    client = open_client("bentoml", server.url, {"body_key": "data"})
    with pytest.raises(RequestRefused, match="instances"):
        client.send(adult.inquiry().table, wire="application/json")
    client.close()


def test_rows_of_another_width_are_a_failure_and_no_answer(server: running.Running) -> None:
    client = open_client("bentoml", server.url)
    with pytest.raises(ServerFailed, match="500"):
        client.send(adult.narrow(), wire="application/json")
    client.close()
