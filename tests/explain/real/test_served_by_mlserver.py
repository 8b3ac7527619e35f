"""MLServer 1.7 with its XGBoost runtime: the Open Inference Protocol as JSON only."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest

from explain.serving.clients import open_client
from explain.serving.protocol import RequestRefused, ServerFailed, WrongAnswer
from tests.explain.real import adult, running
from tests.explain.real.agreement import Oracle, agrees, inspected
from tests.explain.real.conftest import Serve

PROBABILITIES = {"output": "predict_proba", "binary": False}


@pytest.fixture(scope="module")
def server(serve: Serve) -> Iterator[running.Running]:
    with serve(running.mlserver) as started:
        yield started


def test_its_explanations_are_those_of_the_model_in_memory(
    server: running.Running, true: Oracle, say: Callable[[str], None]
) -> None:
    say(f"MLServer, {agrees('v2', server, true, PROBABILITIES)}")


def test_its_default_output_is_labels_and_the_probe_says_so(server: running.Running) -> None:
    report = inspected("v2", server, adult.inquiry(), {"binary": False}, output=None)
    assert report.findings == ("labels",)
    assert set(report.canaries) <= {0.0, 1.0}
    with pytest.raises(WrongAnswer, match="labels"):
        inspected("v2", server, adult.inquiry(), {"binary": False}, output=1)


def test_it_fails_on_binary_tensors_which_the_probe_takes_for_a_refused_format(server: running.Running) -> None:
    report = inspected("v2", server, adult.inquiry(), {"output": "predict_proba"})
    assert list(report.rates) == [report.wire] == ["application/json"]
    assert "500" in report.refused["application/octet-stream"]


def test_a_missing_number_travels_as_null_and_arrives_as_missing(server: running.Running, true: Oracle) -> None:
    rows = adult.gap()
    client = open_client("v2", server.url, PROBABILITIES)
    try:
        answers = client.send(rows, wire="application/json")
        assert answers.tobytes() == adult.InProcess(true.model).send(rows, wire="").tobytes()
        assert not np.array_equal(answers[3], true.answers[3])
        bare = open_client("v2", server.url, {**PROBABILITIES, "nan": "NaN"})
        with pytest.raises((RequestRefused, ServerFailed), match=r"4\d\d|500"):
            bare.send(rows, wire="application/json")
        bare.close()
    finally:
        client.close()


def test_rows_of_another_width_are_a_failure_in_words_and_no_answer(server: running.Running) -> None:
    client = open_client("v2", server.url, PROBABILITIES)
    with pytest.raises(ServerFailed, match="500"):
        client.send(adult.narrow(), wire="application/json")
    client.close()
