"""Rows of several threads share requests, and each thread gets the answers to its own."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from explain.methods.codes import Column, Floats
from explain.serving.gathering import Gathering
from explain.serving.protocol import Cancelled, ServingError, Table
from explain.serving.scoring import Scored, divided

ONE = (Column("x", "number"),)


def table(*values: Any) -> Table:
    return Table(ONE, [np.array(values)])


def parts(answer: Floats, lengths: Sequence[int]) -> list[Floats]:
    return np.split(answer, np.cumsum(lengths)[:-1])


class Server:
    """Doubles every number; the first request waits until ``go``."""

    def __init__(self) -> None:
        self.requests: list[list[float]] = []
        self.began, self.go = threading.Event(), threading.Event()

    def send(self, rows: Table) -> Floats:
        self.requests.append(rows.cells[0].tolist())
        self.began.set()
        self.go.wait(20)
        if "bad" in self.requests[-1] or -1.0 in self.requests[-1]:
            raise ServingError("No.", code="no")
        return np.asarray(rows.cells[0] * 2, dtype=np.float64)

    def gathering(self, *, largest: int = 100, stopped: Any = lambda: None) -> Gathering[Floats]:
        return Gathering(self.send, divide=parts, largest=lambda: largest, senders=1, stopped=stopped)


def asked(server: Server, gathering: Gathering[Floats], tables: list[Table]) -> list[Any]:
    """The first table is sent alone; the others are asked for while it is under way."""
    with ThreadPoolExecutor(len(tables)) as pool:
        first = pool.submit(gathering.ask, tables[0])
        assert server.began.wait(20)
        others = []
        for number, each in enumerate(tables[1:], start=1):
            others.append(pool.submit(gathering.ask, each))
            while len(gathering._queue) < number:
                assert not others[-1].done()
        server.go.set()
        return [future.exception(20) or future.result(20).tolist() for future in (first, *others)]


def test_what_waits_goes_together_and_comes_back_apart() -> None:
    server = Server()
    answers = asked(server, server.gathering(), [table(1.0), table(2.0, 3.0), table(4.0), table(5.0, 6.0, 7.0)])
    assert server.requests == [[1.0], [2.0, 3.0, 4.0, 5.0, 6.0, 7.0]]
    assert answers == [[2.0], [4.0, 6.0], [8.0], [10.0, 12.0, 14.0]]


def test_no_more_rows_go_together_than_a_request_may_have() -> None:
    server = Server()
    answers = asked(server, server.gathering(largest=3), [table(1.0), table(2.0, 3.0), table(4.0), table(5.0)])
    assert server.requests == [[1.0], [2.0, 3.0, 4.0], [5.0]]
    assert answers[-1] == [10.0]


def test_whole_numbers_are_not_joined_with_fractions() -> None:
    server = Server()
    asked(server, server.gathering(), [table(1.0), table(2), table(2.5), table(3.5)])
    assert server.requests == [[1.0], [2], [2.5, 3.5]]
    assert all(isinstance(each, int) for each in server.requests[1])


def test_a_fault_reaches_everybody_whose_rows_it_was_about_and_nobody_else() -> None:
    server = Server()
    answers = asked(server, server.gathering(largest=2), [table(1.0), table(2.0), table(-1.0), table(3.0)])
    assert answers[0] == [2.0]
    assert [getattr(each, "code", "") for each in answers[1:3]] == ["no", "no"]
    assert answers[3] == [6.0]


def test_whoever_stops_waiting_is_not_sent() -> None:
    server = Server()

    def stopped() -> None:
        raise Cancelled

    gathering = server.gathering(stopped=stopped)
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(gathering.ask, table(1.0))
        assert server.began.wait(20)
        with pytest.raises(Cancelled):
            gathering.ask(table(2.0))
        server.go.set()
        assert first.result(20).tolist() == [2.0]
    assert server.requests == [[1.0]]


def test_problems_are_numbered_within_their_own_rows() -> None:
    joined = Scored(np.arange(5.0), {1: "one", 2: "two", 4: "four"})
    first, none, rest = divided(joined, [2, 0, 3])
    assert (first.outputs.tolist(), first.problems) == ([0.0, 1.0], {1: "one"})
    assert (none.outputs.tolist(), none.problems) == ([], {})
    assert (rest.outputs.tolist(), rest.problems) == ([2.0, 3.0, 4.0], {0: "two", 2: "four"})


def test_many_threads_lose_nothing() -> None:
    server = Server()
    server.go.set()
    gathering = Gathering(server.send, divide=parts, largest=lambda: 50, senders=3, stopped=lambda: None)
    with ThreadPoolExecutor(12) as pool:
        found = list(pool.map(lambda i: gathering.ask(table(*np.arange(i, i + 7.0))).tolist(), range(600)))
    assert found == [[2.0 * each for each in range(i, i + 7)] for i in range(600)]
    assert sum(map(len, server.requests)) == 4_200


def test_a_server_that_has_work_is_not_sent_a_small_third_request() -> None:
    entered, go = threading.Semaphore(0), threading.Event()
    sizes: list[int] = []

    def send(rows: Table) -> Floats:
        sizes.append(len(rows))
        entered.release()
        go.wait(20)
        return np.zeros(len(rows))

    gathering = Gathering(send, divide=parts, largest=lambda: 10, senders=3, stopped=lambda: None)
    with ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(gathering.ask, table(*range(rows))) for rows in (1, 1)]
        assert all(entered.acquire(timeout=20) for _ in asked)
        asked.append(pool.submit(gathering.ask, table(*range(3))))
        while not gathering._queue:
            assert not asked[-1].done()
        assert not entered.acquire(timeout=0.3)
        asked.append(pool.submit(gathering.ask, table(*range(5))))
        assert entered.acquire(timeout=20), "both together are nearly a whole request, so that they go early"
        go.set()
        assert [len(each.result(20)) for each in asked] == [1, 1, 3, 5]
    assert sizes == [1, 1, 8]
