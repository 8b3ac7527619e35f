"""KServe 0.21: V1 and the Open Inference Protocol as JSON and as raw tensors, all on one port."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pytest

from explain.serving.clients import open_client
from explain.serving.protocol import RequestRefused
from tests.explain.real import adult, running
from tests.explain.real.agreement import Oracle, agrees
from tests.explain.real.conftest import Serve


@pytest.fixture(scope="module")
def server(serve: Serve) -> Iterator[running.Running]:
    with serve(running.kserve) as started:
        yield started


def v1(server: running.Running) -> running.Running:
    """The same server under V1's address."""
    return replace(server, url=server.url.replace("/v2/", "/v1/").replace("/infer", ":predict"))


def test_its_explanations_are_those_of_the_model_in_memory(
    server: running.Running, true: Oracle, say: Callable[[str], None]
) -> None:
    say(f"KServe, {agrees('v2', server, true)}")


def test_so_are_those_over_version_1_of_its_protocol(
    server: running.Running, true: Oracle, say: Callable[[str], None]
) -> None:
    say(f"KServe, {agrees('v1', v1(server), true)}")


def test_a_missing_number_arrives_as_missing_in_every_format(server: running.Running, true: Oracle) -> None:
    rows = adult.gap()
    expected = adult.InProcess(true.model).send(rows, wire="")
    for protocol, address in (("v2", server.url), ("v1", v1(server).url)):
        client = open_client(protocol, address)
        for wire in client.formats:
            assert client.send(rows, wire=wire).tobytes() == expected.tobytes(), (protocol, wire)
        client.close()
    assert not np.array_equal(expected, true.answers)


def test_a_model_that_it_does_not_have_is_refused_in_words(server: running.Running) -> None:
    client = open_client("v2", server.url.replace("adult", "nope"))
    with pytest.raises(RequestRefused, match="nope"):
        client.send(adult.inquiry().table, wire="application/json")
    client.close()
