"""Ask a server for the next things while the last one is being written: neither has to wait for the other."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from django.utils import translation

Answer = TypeVar("Answer")


def ahead(calls: Iterable[Callable[[], Answer]], most: int) -> Generator[Future[Answer], None, None]:
    """The outcome of each call, in order. One thread makes them one after the other, at most ``most`` before they are
    taken; the language of who asks goes with it. The calls must not use the database: its connections are of a thread.

    Close the iterator when it is left early (``contextlib.closing``): what has not begun is not asked any more.
    """
    waiting, language = deque[Future[Answer]](), translation.get_language() or ""
    with ThreadPoolExecutor(1, initializer=translation.activate, initargs=(language,)) as thread:
        try:
            for call in calls:
                waiting.append(thread.submit(call))
                if len(waiting) > most:
                    yield waiting.popleft()
            while waiting:
                yield waiting.popleft()
        finally:
            for each in waiting:
                each.cancel()
