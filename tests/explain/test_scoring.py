"""Batches that adapt, the circuit that breaks, the scale of outputs, over a client that fails on demand.

What real sockets do to requests is in ``test_bad_connections``, what broken servers answer in ``test_bad_servers``.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import pytest

from explain.methods.codes import Column, Floats
from explain.serving.base import HttpClient, Wiring
from explain.serving.limits import LocalLimiter, Stopped, go_on
from explain.serving.protocol import Cancelled, ServerFailed, ServingError, Table, TooLarge, Unreachable
from explain.serving.scoring import LARGEST_BATCH, Batching, Scorer, log_odds

COLUMN = (Column("x", "number"),)
Answering = Callable[[Table], Floats]


def rows(count: int) -> Table:
    return Table(COLUMN, [np.arange(count, dtype=np.float64)])


def same(sent: Table) -> Floats:
    return np.asarray(sent.cells[0], dtype=np.float64)


class Fake:
    """A client that answers what a function says."""

    formats = ("application/json",)
    largest_batch: int | None = None

    def __init__(self, answering: Answering = same) -> None:
        self.answering = answering
        self.sizes: list[int] = []
        self.bytes_per_row: dict[str, float] = {}

    def send(self, sent: Table, *, wire: str) -> Floats:
        self.sizes.append(len(sent))
        return self.answering(sent)

    def version(self) -> str:
        return ""

    def close(self) -> None:
        pass


def scorer(client: Fake, **given: object) -> Scorer:
    return Scorer(client, wire="application/json", output=None, sleep=lambda _seconds: None, **given)  # type: ignore[arg-type]


def failing(broken: Callable[[Table], bool], error: type[ServingError] = ServerFailed, code: str = "boom") -> Answering:
    def answering(sent: Table) -> Floats:
        if broken(sent):
            raise error("it failed.", code=code)
        return same(sent)

    return answering


# ── the circuit ──────────────────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize("bad", [0, 1, 500, 999])
def test_a_bad_row_is_found_wherever_it_is_and_breaks_no_circuit(bad: int) -> None:
    client = Fake(failing(lambda sent: bad in sent.cells[0]))
    made = scorer(client, batch=100)
    scored = made.score(rows(1000))
    assert list(scored.problems) == [bad]
    others = np.arange(1000) != bad
    assert np.array_equal(scored.outputs[others], np.arange(1000)[others])


def test_many_bad_rows_beside_good_ones_are_each_named() -> None:
    client = Fake(failing(lambda sent: bool((sent.cells[0] < 12).any())))
    made = scorer(client, batch=64)
    made.score(rows(256).take(slice(200, 256)))  # a row is known to be good
    assert sorted(made.score(rows(256)).problems) == list(range(12))


def test_a_server_that_dies_in_the_middle_breaks_the_circuit_after_five_failing_requests() -> None:
    client = Fake()
    made = scorer(client, batch=100)
    made.score(rows(300))
    client.answering = failing(lambda _sent: True)
    client.sizes.clear()
    with pytest.raises(Unreachable, match="fails on every row"):
        made.score(rows(1000))
    # five requests with their repeats, and the row that was answered before
    assert len(client.sizes) <= 4 + 4 * 2 + 6
    assert client.sizes[-1] == 1


def test_a_server_that_hangs_breaks_the_circuit_after_two_time_outs() -> None:
    client = Fake()
    made = scorer(client, batch=100)
    made.score(rows(300))
    client.answering = failing(lambda _sent: True, TooLarge, "endpoint.timeout")
    client.sizes.clear()
    with pytest.raises(Unreachable):
        made.score(rows(1000))
    assert len(client.sizes) == 3


def test_a_row_that_hangs_the_model_is_named_and_the_others_have_their_answers() -> None:
    client = Fake()
    made = scorer(client, batch=64)
    made.score(rows(64))
    client.answering = failing(lambda sent: 37.0 in sent.cells[0], TooLarge, "endpoint.timeout")
    scored = made.score(rows(64))
    assert list(scored.problems) == [37]
    assert "does not end with it" in scored.problems[37]
    assert np.isfinite(np.delete(scored.outputs, 37)).all()
    client.sizes.clear()
    made.score(rows(640).take(slice(64, 640)))
    assert min(client.sizes[:-1]) >= 64, "the requests after it are as large as before"


def test_a_server_that_hangs_from_the_beginning_is_not_asked_down_to_single_rows() -> None:
    client = Fake(failing(lambda _sent: True, TooLarge, "endpoint.timeout"))
    with pytest.raises(Unreachable):
        scorer(client).score(rows(20_000))
    assert len(client.sizes) == 5


def test_rows_that_take_long_together_are_sent_in_smaller_parts() -> None:
    client = Fake(failing(lambda sent: len(sent) > 30, TooLarge, "endpoint.timeout"))
    made = scorer(client, batch=100)
    made.score(rows(20))
    assert np.array_equal(made.score(rows(500)).outputs, np.arange(500))


# ── batches ──────────────────────────────────────────────────────────────────────────────────────────────────────────
def sizes(seconds: Callable[[int], float]) -> list[int]:
    """The batches of ten requests that take so long each."""
    batching, found = Batching(), []
    for _ in range(10):
        found.append(batching.rows)
        batching.took(batching.rows, seconds(batching.rows))
    return found


def test_batches_grow_while_that_pays_and_have_an_end() -> None:
    assert sizes(lambda rows: 0.01 + rows * 1e-6)[:6] == [1000, 2000, 4000, 8000, 16_000, LARGEST_BATCH]
    assert sizes(lambda rows: rows * 1e-5)[-1] == 2000, "twice the rows took twice the time"
    assert sizes(lambda rows: 0.3 + rows * 1e-4)[-1] == 8000, "a request takes a second"


def test_every_request_is_as_large_as_the_batch() -> None:
    client = Fake()
    scorer(client, batch=4000).score(rows(10_000))
    assert client.sizes[0] == 4000
    assert sum(client.sizes) == 10_000


def test_a_body_stays_below_what_gateways_take() -> None:
    client = Fake()
    client.bytes_per_row = {"application/json": 40_000.0}
    scorer(client).score(rows(300))
    assert max(client.sizes) * 40_000 <= 4_000_000


def test_the_first_bodies_tell_how_many_bytes_a_row_takes_and_none_is_sent_that_is_too_large() -> None:
    class Sent(HttpClient):
        def send(self, sent: Table, *, wire: str) -> Floats:
            self.post(b"x" * (1000 * len(sent)), sent, wire=wire)
            return same(sent)

    client = Sent("http://127.0.0.1:1", {}, Wiring())
    posted: list[int] = []
    client.transport.post = lambda body, **_given: posted.append(len(body))  # type: ignore[method-assign,assignment]
    made = Scorer(client, wire="application/json", output=None, batch=20_000)
    assert np.array_equal(made.score(rows(30_000)).outputs, np.arange(30_000))
    assert max(posted) <= 4_000_000
    assert sum(posted) == 30_000_000
    assert client.bytes_per_row == {"application/json": 1000.0}


def test_once_the_size_is_known_what_is_left_is_divided_evenly() -> None:
    client = Fake()
    made = scorer(client, batch=1000)
    made.batching.settled = True
    made.score(rows(2100))
    assert client.sizes == [700, 700, 700]


def test_an_endpoint_may_say_how_many_rows_it_takes() -> None:
    client = Fake()
    client.largest_batch = 5
    scorer(client).score(rows(12))
    assert max(client.sizes) <= 5


# ── limits and cancelling ────────────────────────────────────────────────────────────────────────────────────────────
def test_every_request_and_every_repeat_holds_a_place() -> None:
    held: list[int] = []

    class Counting(LocalLimiter):
        @contextmanager
        def slot(self, rows: int, stopped: Stopped = go_on) -> Iterator[None]:
            with super().slot(rows, stopped):
                held.append(rows)
                yield

    tries = iter([True, False])
    client = Fake(failing(lambda _sent: next(tries)))
    scorer(client, limiter=Counting(1)).score(rows(7))
    assert held == [7, 7]


def test_a_cap_on_rows_per_second_is_no_burst() -> None:
    client = Fake()
    scorer(client, limiter=LocalLimiter(1, rows_per_second=50)).score(rows(100))
    assert max(client.sizes) <= 50


def test_who_waits_for_a_place_can_be_cancelled() -> None:
    limiter, stop = LocalLimiter(1), threading.Event()

    def stopped() -> None:
        if stop.is_set():
            raise Cancelled

    threading.Timer(0.2, stop.set).start()
    began = time.monotonic()
    with limiter.slot(1), pytest.raises(Cancelled):
        scorer(Fake(), limiter=limiter, stopped=stopped).score(rows(3))
    assert time.monotonic() - began < 2.0


def test_a_client_over_http_is_told_whom_to_ask_while_it_waits() -> None:
    client = HttpClient("http://127.0.0.1:1", {}, Wiring())

    def stopped() -> None:
        raise Cancelled

    Scorer(client, wire="", output=None, stopped=stopped)
    assert client.transport.stopped is stopped


# ── the scale ────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_log_odds_are_the_logit_of_the_answer_clipped_and_never_of_what_is_no_probability() -> None:
    answers = np.array([0.5, 0.9, 0.0, 1.0, 1.5, -0.1, np.nan])
    client = Fake(lambda sent: answers[: len(sent)])
    scored = scorer(client, scale="log_odds").score(rows(7))
    edge = np.log(1e-6 / (1 - 1e-6))
    assert scored.outputs[:4] == pytest.approx([0.0, np.log(9), edge, -edge])
    assert np.isnan(scored.outputs[4:]).all()
    assert sorted(scored.problems) == [4, 5, 6]
    assert "1.5, which is no probability" in scored.problems[4]
    assert "NaN" in scored.problems[6]


def test_other_scales_leave_the_answer_alone() -> None:
    for scale in ("raw", "probability"):
        assert np.array_equal(scorer(Fake(), scale=scale).score(rows(5)).outputs, np.arange(5))
    assert log_odds(np.array([0.25]), {})[0] == pytest.approx(np.log(1 / 3))
