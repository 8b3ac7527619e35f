"""What a broken endpoint can do to a request, and what is said about it. The server is a double on a real socket."""

from __future__ import annotations

import json
import random
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from explain.canaries import AnotherVersion, Canaries
from explain.methods.codes import Codebook, Column
from explain.serving import probe
from explain.serving.limits import LocalLimiter, go_on
from explain.serving.mlflow import INPUTS, JSON, MlflowClient
from explain.serving.protocol import RequestRefused, Table, Unreachable, WrongAnswer
from explain.serving.scoring import Scorer
from tests.explain.servers import Row, answer, healthy, probability, serving

COLUMNS = (Column("income", "number"), Column("age", "integer"), Column("sector", "string"))
Reply = tuple[int, bytes, dict[str, str]]


def table(count: int = 40) -> Table:
    rng = np.random.default_rng(5)
    rows = [
        [float(rng.normal(50, 20)), int(rng.integers(18, 80)), ["retail", "trade", None][i % 3]] for i in range(count)
    ]
    book = Codebook(COLUMNS, rows)
    return Table(COLUMNS, book.decode(book.encode(rows)))


def expected(rows: Table) -> np.ndarray:
    cells = zip(*(column.tolist() for column in rows.cells), strict=True)
    return np.array([probability(dict(zip(("income", "age", "sector"), row, strict=True))) for row in cells])


OPENED: list[MlflowClient] = []


@pytest.fixture(autouse=True)
def closed_at_the_end() -> Iterator[None]:
    yield
    while OPENED:
        OPENED.pop().close()


def client(url: str, **options: Any) -> MlflowClient:
    OPENED.append(MlflowClient(url, sleep=lambda _seconds: None, **options))
    return OPENED[-1]


def scorer(url: str, **options: Any) -> Scorer:
    return Scorer(client(url, **options), wire=JSON, output=1, sleep=lambda _seconds: None)


def test_answers_stay_in_the_order_of_the_rows_over_many_requests() -> None:
    with serving() as (url, server):
        made = scorer(url)
        made.batching.rows = 7
        scored = made.score(table(100))
        assert np.array_equal(scored.outputs, expected(table(100)))
        assert scored.problems == {}
        assert server.rows == 100


def test_transient_failures_of_a_third_of_the_requests_lose_no_row() -> None:
    dice = random.Random(3)

    def behave(rows: list[Row], _count: int) -> Reply:
        draw = dice.random()
        if draw < 0.15:
            return 500, b"{}", {}
        if draw < 0.25:
            return 503, b"", {}
        return (429, b"", {"retry-after": "0"}) if draw < 0.33 else (200, answer(rows), {})

    with serving(behave) as (url, _server):
        made = scorer(url)
        made.batching.rows = 10
        scored = made.score(table(200))
        assert np.array_equal(scored.outputs, expected(table(200)))


def test_a_row_that_the_model_cannot_read_is_named_and_the_others_are_right() -> None:
    rows = table(64)
    poison = float(rows.cells[0][37])

    def behave(sent: list[Row], _count: int) -> Reply:
        if any(row["income"] == poison for row in sent):
            return 500, b'{"detail":"Internal Server Error"}', {}
        return healthy(sent, 0)

    with serving(behave) as (url, _server):
        scored = scorer(url).score(rows)
    assert list(scored.problems) == [37]
    assert "Internal Server Error" in scored.problems[37]
    others = np.arange(64) != 37
    assert np.array_equal(scored.outputs[others], expected(rows)[others])


def test_nan_is_a_failed_row_and_never_a_number() -> None:
    def behave(rows: list[Row], _count: int) -> Reply:
        return (
            200,
            json.dumps({"predictions": [[0.5, float("nan") if i == 3 else 0.5] for i in range(len(rows))]}).encode(),
            {},
        )

    with serving(behave) as (url, _server):
        scored = scorer(url).score(table(9))
    assert list(scored.problems) == [3]
    assert np.isnan(scored.outputs[3])


@pytest.mark.parametrize(
    ("reply", "code"),
    [
        (b'{"predictions": [[0.5, 0.5]]}', "answer.row_count"),
        (b'{"predictions": ["good", "bad", "good"]}', "answer.shape"),
        (b'{"predictions": [[0.5, 0.5], [0.5], [0.5, 0.5]]}', "answer.shape"),
        (b'{"predictions": [0.1, 0.2, 0.3]}', "answer.shape"),
        (b'{"outputs": []}', "answer.no_predictions"),
        (b"<html>hello</html>", "answer.not_json"),
        (b"", "answer.not_json"),
    ],
)
def test_an_answer_that_is_not_one_output_per_row_is_refused(reply: bytes, code: str) -> None:
    with serving(lambda _rows, _count: (200, reply, {})) as (url, _server), pytest.raises(WrongAnswer) as caught:
        scorer(url).score(table(3))
    assert caught.value.code == code


def test_a_server_that_fails_on_everything_is_named_and_not_asked_for_ever() -> None:
    with serving(lambda _rows, _count: (500, b"boom", {})) as (url, server), pytest.raises(Unreachable) as caught:
        scorer(url).score(table(500))
    assert "boom" in caught.value.sentence
    assert server.count < 100


def test_a_server_that_says_nothing_is_unreachable_after_a_few_attempts() -> None:
    with serving(lambda _rows, _count: (0, b"", {})) as (url, server), pytest.raises(Unreachable):
        scorer(url).score(table(3))
    assert server.count == 5


def test_a_server_that_is_not_there_is_unreachable() -> None:
    with serving() as (url, _server):
        pass
    with pytest.raises(Unreachable, match="no usable answer in 5 attempts"):
        scorer(url).score(table(3))


def test_a_redirect_is_refused_because_rows_go_only_to_registered_addresses() -> None:
    with serving() as (elsewhere, other):
        behave = lambda _rows, _count: (307, b"", {"location": f"{elsewhere}/invocations"})  # noqa: E731
        with serving(behave) as (url, _server), pytest.raises(RequestRefused, match="registered address"):
            scorer(url).score(table(3))
        assert other.count == 0


def test_a_refused_request_ends_with_the_words_of_the_server() -> None:
    reply = b'{"error_code": "INVALID_PARAMETER_VALUE", "message": "missing column tenure"}'
    with serving(lambda _rows, _count: (400, reply, {})) as (url, server), pytest.raises(RequestRefused) as caught:
        scorer(url).score(table(3))
    assert "missing column tenure" in caught.value.sentence
    assert server.count == 1


def test_a_body_that_is_too_large_is_sent_in_smaller_parts() -> None:
    def behave(rows: list[Row], _count: int) -> Reply:
        return (413, b"", {}) if len(rows) > 10 else healthy(rows, 0)

    with serving(behave) as (url, _server):
        made = scorer(url)
        assert np.array_equal(made.score(table(64)).outputs, expected(table(64)))
        assert made.batching.rows <= 16


def test_the_probe_finds_an_answer_that_depends_on_the_other_rows() -> None:
    def behave(rows: list[Row], _count: int) -> Reply:
        shift = 0.01 if len(rows) > 1 else 0.0
        return 200, json.dumps({"predictions": [[0.5 - shift, 0.5 + shift] for _row in rows]}).encode(), {}

    with serving(behave) as (url, _server):
        report = probe.inspect(client(url), table(), output=1, probability=True)
    assert "batch_dependent" in report.findings


def test_the_probe_finds_labels_where_probabilities_are_promised() -> None:
    def behave(rows: list[Row], _count: int) -> Reply:
        return 200, json.dumps({"predictions": [int(probability(row) > 0.3) for row in rows]}).encode(), {}

    with serving(behave) as (url, _server):
        report = probe.inspect(client(url), table(), output=None, probability=True)
    assert "labels" in report.findings


def test_the_probe_refuses_nan_and_compares_rows_with_missing_values_first() -> None:
    assert table().cells[2][2] is None
    assert probe.canary_rows(table()).cells[2][0] is None
    reply: Any = lambda rows, _count: (200, json.dumps({"predictions": [[0.5, None]] * len(rows)}).encode(), {})  # noqa: E731
    with serving(reply) as (url, _server), pytest.raises(WrongAnswer) as caught:
        probe.inspect(client(url), table(), output=1, probability=True)
    assert caught.value.code == "answer.not_finite"


def test_the_canaries_notice_that_another_model_answers() -> None:
    with serving() as (url, server):
        speaking = client(url)
        report = probe.inspect(speaking, table(), output=1, probability=True)
        assert report.wire in (JSON, INPUTS)
        found = Canaries(speaking, probe.Asker(speaking, 1, LocalLimiter(), go_on), table(), report.as_json())
        assert found.check() == list(report.canaries)
        server.behaviour = lambda rows, _count: (
            200,
            json.dumps({"predictions": [[0.9, 0.1]] * len(rows)}).encode(),
            {},
        )
        with pytest.raises(AnotherVersion):
            found.check()


def test_everything_at_once_over_three_threads_loses_no_row_and_gives_none_another_answer() -> None:
    rows, dice, lock = table(3000), random.Random(11), threading.Lock()
    poison = float(rows.cells[0][1234])

    def behave(sent: list[Row], count: int) -> Reply:
        with lock:
            draw = dice.random()
        if any(row["income"] == poison for row in sent):
            return 500, b"poison", {}
        if len(sent) > 300:
            return 413, b"", {}
        if draw < 0.12:
            return 500, b"{}", {}
        if draw < 0.2:
            return 0, b"", {}  # hangs up
        if draw < 0.26:
            return 429, b"", {"retry-after": "0"}
        if draw < 0.3:
            return 503, b"", {"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}
        return healthy(sent, count)

    with serving(behave) as (url, _server):
        made = scorer(url, attempts=9)
        made.batching.rows = 100
        with ThreadPoolExecutor(3) as pool:
            parts = list(pool.map(lambda i: made.score(rows.take(slice(i, i + 500))), range(0, 3000, 500)))
    outputs = np.concatenate([part.outputs for part in parts])
    problems = {500 * i + at: why for i, part in enumerate(parts) for at, why in part.problems.items()}
    assert list(problems) == [1234]
    assert "poison" in problems[1234]
    others = np.arange(3000) != 1234
    assert np.array_equal(outputs[others], expected(rows)[others])
