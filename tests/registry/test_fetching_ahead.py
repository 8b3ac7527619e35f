"""What is asked ahead: in order, not too far, in the asker's language, and no more when nobody listens."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest
from django.utils import translation

from registry.sources.ahead import ahead


def calls(asked: list[int], count: int) -> Iterator[Callable[[], int]]:
    for number in range(count):

        def one(number: int = number) -> int:
            asked.append(number)
            return number

        yield one


def test_answers_come_in_order_and_every_call_is_made_once() -> None:
    asked: list[int] = []
    assert [each.result() for each in ahead(calls(asked, 20), 3)] == list(range(20))
    assert asked == list(range(20))


def test_no_more_is_asked_than_may_be_ahead_of_what_was_taken() -> None:
    asked: list[int] = []
    with closing(ahead(calls(asked, 20), 3)) as answers:
        for taken in range(1, 6):
            next(answers).result()
            time.sleep(0.05)
            assert len(asked) <= taken + 3


def test_a_failure_is_raised_where_its_answer_is_taken_and_the_others_go_on() -> None:
    def broken() -> int:
        raise OSError("gone")

    first, second, third = ahead([lambda: 1, broken, lambda: 3], 2)
    assert (first.result(), third.result()) == (1, 3)
    with pytest.raises(OSError, match="gone"):
        second.result()


def test_who_leaves_early_has_asked_for_nothing_more() -> None:
    asked: list[int] = []
    gate = threading.Event()

    def waiting() -> int:
        asked.append(0)
        return int(gate.wait(10))

    with closing(ahead([waiting, *calls(asked, 10)], 0)) as answers:
        first = next(answers)
        gate.set()
        assert first.result() == 1
    assert asked == [0]
    assert not [each for each in threading.enumerate() if each.name.startswith("ThreadPoolExecutor")]


def test_the_asker_s_language_goes_with_the_call() -> None:
    with translation.override("ar"):
        (answer,) = ahead([translation.get_language], 1)
        assert answer.result() == "ar"
