"""Triton 2.51, by way of pytriton 0.7: the Open Inference Protocol as JSON and as raw tensors, with full metadata.

It reads the bare word NaN in JSON and not ``null``; raw tensors say NaN by themselves.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import pytest

from explain.serving.clients import open_client
from explain.serving.protocol import ServerFailed
from explain.serving.v2 import BINARY
from tests.explain.real import adult, running
from tests.explain.real.agreement import Oracle, agrees, inspected
from tests.explain.real.conftest import Serve
from tests.explain.real.environments import CannotMake

pytestmark = pytest.mark.all_servers


@pytest.fixture(scope="module")
def server(serve: Serve) -> Iterator[running.Running]:
    try:
        with serve(running.triton) as started:
            yield started
    except CannotMake as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(error))


def test_its_explanations_are_those_of_the_model_in_memory(
    server: running.Running, true: Oracle, say: Callable[[str], None]
) -> None:
    say(f"Triton, {agrees('v2', server, true)}")


def test_a_missing_number_is_nan_in_raw_tensors_and_no_null_in_json(server: running.Running, true: Oracle) -> None:
    rows = adult.gap()
    expected = adult.InProcess(true.model).send(rows, wire="").tobytes()
    client = open_client("v2", server.url)
    assert client.send(rows, wire=BINARY).tobytes() == expected
    with pytest.raises(ServerFailed, match="non-number"):
        client.send(rows, wire="application/json")
    client.close()
    bare = open_client("v2", server.url, {"nan": "NaN"})
    assert bare.send(rows, wire="application/json").tobytes() == expected
    bare.close()


def test_it_says_which_version_of_the_model_it_holds(server: running.Running) -> None:
    report = inspected("v2", server, adult.inquiry())
    assert report.server == "triton 2.51.0, version 1"
