"""Many rows through few requests: batch sizes that adapt, and bad rows found by bisection.

A worker threads several calls of ``Scorer.score`` at once; every one of them adapts the same batch size.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from explain.methods.codes import Floats
from explain.serving.protocol import (
    ServerFailed,
    ServingClient,
    ServingError,
    Table,
    TooLarge,
    Unreachable,
    WrongAnswer,
)

#: The first batch and the largest, in rows (measured on MLflow: nothing is gained above 20,000).
FIRST_BATCH, LARGEST_BATCH = 1_000, 20_000
#: A batch above this is not doubled again, in seconds: progress and cancelling are checked between requests.
LONGEST_REQUEST = 1.0
#: After so many single rows in a row that the server fails on, the server is at fault and not the rows.
FAILURES_IN_A_ROW = 5
#: How often a failing batch is repeated before it is divided: a 500 may be transient, or a row it cannot read.
REPEATS = 3
#: A single row is repeated more often before it is called unreadable: a false verdict would lose it.
SINGLE_REPEATS = 5
#: Body size in bytes that common gateways still take, and what a cell takes at most on average.
LARGEST_BODY, CELL_BYTES = 4_000_000, 20


@dataclass(slots=True)
class Batching:
    """The number of rows per request: doubled while that pays, halved when the server says that it is too much."""

    rows: int = FIRST_BATCH
    _rate: float = 0.0
    _settled: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def took(self, rows: int, seconds: float) -> None:
        """Learn from a request that was as large as allowed."""
        with self._lock:
            if self._settled or rows < self.rows:
                return
            rate = rows / max(seconds, 1e-6)
            if rate > 1.1 * self._rate and seconds < LONGEST_REQUEST and self.rows < LARGEST_BATCH:
                self._rate = rate
                self.rows = min(self.rows * 2, LARGEST_BATCH)
            else:
                self._settled = True

    def too_large(self, rows: int) -> None:
        """Never send so many again."""
        with self._lock:
            self.rows = max(1, min(self.rows, rows) // 2)
            self._settled = True


@dataclass(slots=True)
class Scored:
    """``outputs``: (rows,) the chosen output, NaN where the model gave none. ``problems``: row index -> sentence."""

    outputs: Floats
    problems: dict[int, str]


class Scorer:
    """Scores any number of rows at one endpoint in the wire format that the probe chose."""

    def __init__(
        self,
        client: ServingClient,
        *,
        wire: str,
        output: int | None,
        stopped: Callable[[], None] = lambda: None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """``output``: index into each row's outputs, ``None`` when there is one. ``stopped`` raises to abandon work."""
        self._client = client
        self._wire = wire
        self._output = output
        self._stopped = stopped
        self._sleep = sleep
        self._failures = 0
        self._lock = threading.Lock()
        self.batching = Batching()
        self.scored = 0

    def score(self, rows: Table) -> Scored:
        """Raises a ``ServingError`` when the endpoint, and not a row, is at fault."""
        outputs = np.full(len(rows), np.nan)
        problems: dict[int, str] = {}
        fits = max(1, LARGEST_BODY // (CELL_BYTES * max(len(rows.columns), 1)))
        start = 0
        while start < len(rows):
            self._stopped()
            stop = min(start + min(self.batching.rows, fits), len(rows))
            began = time.perf_counter()
            self._fill(rows, start, stop, outputs, problems)
            self.batching.took(stop - start, time.perf_counter() - began)
            start = stop
        for i in np.flatnonzero(~np.isfinite(outputs)):
            problems.setdefault(int(i), "The model answered NaN or infinity for it.")
        with self._lock:
            self.scored += len(rows)
        return Scored(outputs, problems)

    def _fill(
        self, rows: Table, start: int, stop: int, outputs: Floats, problems: dict[int, str], *, repeats: int = REPEATS
    ) -> None:
        single = stop - start == 1
        try:
            outputs[start:stop] = self._once(rows.take(slice(start, stop)), SINGLE_REPEATS if single else repeats)
            self._failures = 0
            return
        except TooLarge as error:
            if single:
                raise Unreachable(f"{error.sentence} Even one row is too much.", code=error.code) from error
            self.batching.too_large(stop - start)
        except ServerFailed as error:
            if single:
                self._poisoned(error)
                problems[start] = f"The model fails on it. {error.sentence}"
                return
        middle = (start + stop) // 2
        self._fill(rows, start, middle, outputs, problems, repeats=1)
        self._fill(rows, middle, stop, outputs, problems, repeats=1)

    def _poisoned(self, error: ServingError) -> None:
        with self._lock:
            self._failures += 1
            if self._failures >= FAILURES_IN_A_ROW:
                raise Unreachable(
                    f"The server fails on every row. {error.sentence}. Read the server's own log.", code=error.code
                ) from error

    def _once(self, rows: Table, repeats: int) -> Floats:
        for repeat in range(repeats):
            self._stopped()
            try:
                return choose(self._client.send(rows, wire=self._wire), self._output)
            except ServerFailed:
                self._sleep(0.05 * 2**repeat)
        self._stopped()
        return choose(self._client.send(rows, wire=self._wire), self._output)


def choose(outputs: Floats, index: int | None) -> Floats:
    """One output per row. Raises ``WrongAnswer`` when the answer does not have the shape of the endpoint's contract."""
    if outputs.ndim == 2 and outputs.shape[1] == 1:
        outputs = outputs[:, 0]
        index = None if index in (0, None) else index
    if index is None:
        if outputs.ndim != 1:
            raise WrongAnswer(
                f"The model answers {outputs.shape[1]} outputs for each row and the endpoint's contract does not say "
                "which one to explain.",
                code="answer.ambiguous",
            )
        return outputs
    if outputs.ndim != 2 or not 0 <= index < outputs.shape[1]:
        has = "one output" if outputs.ndim == 1 else f"{outputs.shape[1]} outputs"
        raise WrongAnswer(
            f"The endpoint's contract promises output {index} for each row, and the model answers {has}. "
            "If it serves labels, serve probabilities instead.",
            code="answer.shape",
        )
    return outputs[:, index]
