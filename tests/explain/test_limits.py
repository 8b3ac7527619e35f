"""The limits of an endpoint over all worker processes: places, pace, and what a killed worker leaves behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import cast

import pytest
from django.db import OperationalError, connection

from explain.serving.limits import Limiter, LocalLimiter, for_endpoint
from explain.serving.protocol import Cancelled
from explain.serving.slots import DatabaseLimiter
from registry.models import EndpointPace

Made = Callable[[int, int | None], Limiter]


@pytest.fixture
def shared(committed_db: object) -> Iterator[Made]:
    """Limiters of one endpoint, each with a connection of its own as in another process."""
    made: list[Limiter] = []

    def make(concurrency: int, rows_per_second: int | None = None) -> Limiter:
        made.append(for_endpoint(7, concurrency, rows_per_second))
        return made[-1]

    yield make
    for each in made:
        each.close()


class Busy:
    """How many are inside at once."""

    def __init__(self) -> None:
        self.now = self.most = 0
        self._lock = threading.Lock()

    @contextmanager
    def inside(self) -> Iterator[None]:
        with self._lock:
            self.now += 1
            self.most = max(self.most, self.now)
        time.sleep(0.02)
        yield
        with self._lock:
            self.now -= 1


def many(limiters: list[Limiter], busy: Busy, *, times: int = 3) -> None:
    def work(limiter: Limiter) -> None:
        for _ in range(times):
            with limiter.slot(1), busy.inside():
                pass

    threads = [threading.Thread(target=work, args=(limiter,)) for limiter in limiters]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_no_more_requests_than_allowed_over_processes_and_threads(shared: Made) -> None:
    first, second = shared(3), shared(3)
    busy = Busy()
    many([first, second, first, second, first, second], busy)
    assert busy.most == 3
    assert busy.now == 0


def test_a_place_that_is_given_back_is_taken_at_once_and_another_process_is_not_starved(shared: Made) -> None:
    busy, patient = shared(1), shared(1)
    stop, taken = threading.Event(), [0]

    def work() -> None:
        while not stop.is_set():
            with busy.slot(1):
                taken[0] += 1
                time.sleep(0.02)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        time.sleep(0.5)
        alone = taken[0]
        waits = []
        for _ in range(5):
            began = time.monotonic()
            with patient.slot(1):
                waits.append(time.monotonic() - began)
            time.sleep(0.01)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert alone >= 12, "0.5 s hold 25 times 20 ms"
    assert max(waits) < 3.0


def test_the_default_of_tests_keeps_the_same_limits() -> None:
    limiter, busy = LocalLimiter(2), Busy()
    many([limiter] * 5, busy)
    assert busy.most == 2
    began = time.monotonic()
    paced = LocalLimiter(2, rows_per_second=100)
    for _ in range(4):
        with paced.slot(10):
            pass
    assert 0.28 <= time.monotonic() - began < 1.5


def test_rows_per_second_hold_over_processes(shared: Made) -> None:
    first, second = shared(4, 100), shared(4, 100)
    assert first.largest == 100
    began = time.monotonic()
    for limiter in (first, second, first, second, first):
        with limiter.slot(10):
            pass
    assert 0.38 <= time.monotonic() - began < 2.0
    assert EndpointPace.objects.get().endpoint_id == 7


def test_endpoints_do_not_wait_for_each_other(shared: Made) -> None:
    other = DatabaseLimiter(8, 1, None)
    with shared(1).slot(1), other.slot(1):
        pass
    other.close()


def test_who_waits_for_a_place_is_asked_whether_to_stop(shared: Made) -> None:
    asked: list[float] = []

    def stopped() -> None:
        asked.append(time.monotonic())
        if len(asked) >= 3:
            raise Cancelled

    began = time.monotonic()
    first, second = shared(1), shared(1)
    with first.slot(1), pytest.raises(Cancelled), second.slot(1, stopped):
        pass
    assert time.monotonic() - began < 2.0
    with second.slot(1):
        pass


@pytest.mark.parametrize("make", [lambda: LocalLimiter(1, 1), lambda: for_endpoint(9, 1, 1)])
def test_who_waits_for_the_pace_is_asked_whether_to_stop(make: Callable[[], Limiter], committed_db: object) -> None:
    limiter = make()
    with limiter.slot(60):
        pass

    def stopped() -> None:
        raise Cancelled

    began = time.monotonic()
    with pytest.raises(Cancelled), limiter.slot(1, stopped):
        pass
    assert time.monotonic() - began < 1.0
    limiter.close()


def test_a_place_is_given_back_when_the_work_fails(shared: Made) -> None:
    limiter = shared(1)
    for _ in range(3):
        with pytest.raises(ZeroDivisionError), limiter.slot(1):
            1 / 0  # noqa: B018


def test_a_place_that_could_not_be_given_back_goes_with_its_connection(
    shared: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    limiter, another = cast(DatabaseLimiter, shared(1)), shared(1)

    def fails(_sql: str, _parameters: object) -> None:
        raise OperationalError("canceling statement due to user request")

    with limiter.slot(1):
        monkeypatch.setattr(limiter, "_ask", fails)
    with another.slot(1, give_up_after(1.0)):
        pass


def give_up_after(seconds: float) -> Callable[[], None]:
    """For ``stopped``: it raises so much later."""
    end = time.monotonic() + seconds

    def stopped() -> None:
        if time.monotonic() > end:
            raise Cancelled

    return stopped


HOLDER = """
    import sys, time, psycopg
    from explain.serving.slots import LOCK, MOST, _TAKE
    held = psycopg.connect(sys.argv[1], autocommit=True)
    print(held.execute(_TAKE, [[0], LOCK, 7 * MOST - 2**30]).fetchone()[0], flush=True)
    time.sleep(60)
"""


def test_a_worker_that_is_killed_gives_its_place_back_at_once(shared: Made) -> None:
    settings = connection.settings_dict
    dsn = " ".join(
        f"{key}='{settings[name]}'"
        for key, name in (
            ("dbname", "NAME"),
            ("user", "USER"),
            ("password", "PASSWORD"),
            ("host", "HOST"),
            ("port", "PORT"),
        )
        if settings.get(name)
    )
    limiter = shared(1)
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(HOLDER), dsn], stdout=subprocess.PIPE, text=True, env=os.environ
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline().strip() == "0"

        def impatient() -> None:
            raise Cancelled

        with pytest.raises(Cancelled), limiter.slot(1, impatient):
            pass
        process.send_signal(signal.SIGKILL)
        process.wait(10)
        began = time.monotonic()
        with limiter.slot(1):
            assert time.monotonic() - began < 1.0
    finally:
        process.kill()
        process.wait(10)
        process.stdout.close() if process.stdout else None


def test_a_place_costs_about_a_millisecond(shared: Made, record_property: Callable[[str, object], None]) -> None:
    limiter = shared(2)
    with limiter.slot(1):
        pass
    costs = []
    for _ in range(200):
        began = time.perf_counter()
        with limiter.slot(1):
            pass
        costs.append(time.perf_counter() - began)
    median = sorted(costs)[100] * 1000
    record_property("said at the end", f"a place of an endpoint over all workers costs {median:.2f} ms a request")
    assert median < 3.0
