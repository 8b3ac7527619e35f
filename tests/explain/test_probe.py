"""Every trap of an endpoint becomes a word, and the word a sentence. The server is a double on a real socket."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from explain.canaries import AnotherVersion, Canaries
from explain.methods.codes import Floats
from explain.sentences import WORDS
from explain.serving import probe
from explain.serving.limits import LocalLimiter, go_on
from explain.serving.mlflow import INPUTS, JSON, MlflowClient
from explain.serving.protocol import Table
from tests.explain.servers import Row, probability, serving
from tests.explain.test_bad_servers import expected, table

Reply = tuple[int, bytes, dict[str, str]]


def answering(predict: Callable[[list[Row], int], Any]) -> Callable[[list[Row], int], Reply]:
    return lambda rows, count: (200, json.dumps({"predictions": predict(rows, count)}).encode(), {})


def pairs(values: list[float]) -> list[list[float]]:
    return [[1 - value, value] for value in values]


def inspected(
    predict: Callable[[list[Row], int], Any],
    *,
    output: int | None = 1,
    options: dict[str, Any] | None = None,
    **given: Any,
) -> probe.Report:
    with serving(answering(predict)) as (url, _server):
        client = MlflowClient(url, options, sleep=lambda _seconds: None)
        try:
            return probe.inspect(client, table(), output=output, probability=True, **given)
        finally:
            client.close()


def fine(rows: list[Row], _count: int) -> Any:
    return pairs([probability(row) for row in rows])


def test_an_endpoint_without_a_trap_has_no_finding_and_a_first_batch() -> None:
    report = inspected(fine)
    assert report.findings == ()
    assert report.wire in (JSON, INPUTS)
    assert 1_000 <= report.batch <= 20_000
    assert report.as_json()["rows_per_second"][JSON] > 0
    assert report.server == "mlflow 3.17.2"


@pytest.mark.parametrize(
    ("predict", "word"),
    [
        (lambda rows, _n: pairs([0.5 + 0.01 * (len(rows) == 1) for _row in rows]), "batch_dependent"),
        (lambda rows, _n: pairs([probability(r) * (1 - i * 1e-3) for i, r in enumerate(rows)]), "batch_dependent"),
        (lambda rows, n: pairs([0.5 + 0.001 * n / (n + 1) for _row in rows]), "not_deterministic"),
        (lambda rows, _n: [int(probability(row) > 0.3) for row in rows], "labels"),
        (lambda rows, _n: [[int(probability(row) > 0.3)] for row in rows], "labels"),
        (lambda rows, _n: pairs([float(probability(row) > 0.3) for row in rows]), "only_zero_or_one"),
        (lambda rows, _n: pairs([probability(row) + 1 for row in rows]), "not_probabilities"),
        (lambda rows, _n: [[0.5, probability(row)] for row in rows], "not_summing"),
    ],
)
def test_each_trap_has_its_word(predict: Any, word: str) -> None:
    output = None if word == "labels" else 1
    report = inspected(predict, output=output)
    assert word in report.findings
    assert word in WORDS
    json.dumps(report.as_json(), allow_nan=False)


def test_an_answer_that_depends_on_the_order_is_told_from_one_that_depends_on_the_batch() -> None:
    first = probability(dict(zip(("income", "age", "sector"), next(_cells(probe.canary_rows(table()))), strict=True)))

    def predict(rows: list[Row], _count: int) -> Any:
        shift = 0.01 if len(rows) > 1 and probability(rows[0]) != first else 0.0
        return pairs([probability(row) + shift for row in rows])

    report = inspected(predict)
    assert "order_dependent" in report.findings
    assert "batch_dependent" not in report.findings


def _cells(rows: Table) -> Any:
    return zip(*(column.tolist() for column in rows.cells), strict=True)


@pytest.mark.parametrize("production", ["split", "inputs"])
def test_where_formats_disagree_the_rows_go_as_callers_send_them(
    production: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.explain import servers

    read = servers.rows_of
    monkeypatch.setattr(servers, "rows_of", lambda body: [{**row, "how": next(iter(body))} for row in read(body)])

    def predict(rows: list[Row], _count: int) -> Any:
        return pairs([probability(row) + 0.02 * (row["how"] == "inputs") for row in rows])

    report = inspected(predict, options={"format": production})
    assert report.findings == ("formats_disagree",)
    assert report.wire == {"split": JSON, "inputs": INPUTS}[production]
    assert list(report.rates) == [report.wire]


def test_an_artifact_that_answers_otherwise_is_a_finding_that_counts() -> None:
    report = inspected(fine)
    assert (report.parity, report.compared(1e-7, most=1e-6).findings) == (None, ())
    other = report.compared(0.01, most=1e-6)
    assert (other.parity, other.findings) == (0.01, ("parity_failed",))
    assert "parity_failed" in probe.FATAL
    broken = report.compared(float("nan"), most=1e-6)
    assert broken.findings == ("parity_failed",)
    json.dumps(broken.as_json(), allow_nan=False)


def test_a_format_that_the_server_refuses_is_named_and_no_finding() -> None:
    report = inspected(fine)
    assert "415" in report.refused["application/vnd.apache.parquet"]


def test_the_limits_hold_for_the_probe_too() -> None:
    asked: list[int] = []

    class Counting(LocalLimiter):
        def slot(self, rows: int, *given: Any) -> Any:
            asked.append(rows)
            return super().slot(rows, *given)

    limiter = Counting(1)
    limiter.largest = None
    report = inspected(fine, options={"largest_batch": 3}, limiter=limiter)
    assert max(asked) == 3
    assert report.findings == ()


class Versioned:
    """A client whose answers say which version gave them."""

    formats = (JSON,)
    model_version = "v1"

    def send(self, rows: Table, *, wire: str) -> Floats:
        return expected(rows)

    def version(self) -> str:
        return "double"

    def close(self) -> None:
        pass


def test_another_version_is_noticed_even_when_its_canaries_agree() -> None:
    client = Versioned()
    report = probe.inspect(client, table(), output=None, probability=True)
    assert report.model_version == "v1"
    found = Canaries(client, probe.Asker(client, None, LocalLimiter(), go_on), table(), report.as_json())
    assert found.check() == list(report.canaries)
    client.model_version = "v2"
    with pytest.raises(AnotherVersion, match="says version v2"):
        found.check()


def test_every_word_of_the_probe_has_a_sentence() -> None:
    assert set(WORDS) >= probe.FATAL
