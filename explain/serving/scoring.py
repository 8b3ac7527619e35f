"""Many rows through few requests: batch sizes that adapt, and bad rows found by bisection.

A worker threads several calls of ``Scorer.score`` at once; every one of them adapts the same batch size.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from explain.methods.codes import Floats
from explain.serving.bodies import LARGEST_BODY
from explain.serving.gathering import Gathering
from explain.serving.limits import Limiter, LocalLimiter
from explain.serving.protocol import (
    ServerFailed,
    ServingClient,
    ServingError,
    Table,
    TooLarge,
    Unreachable,
    WrongAnswer,
)

Scale = Literal["probability", "log_odds", "raw"]
#: The first batch and the largest, in rows (measured on MLflow: nothing is gained above 20,000).
FIRST_BATCH, LARGEST_BATCH = 1_000, 20_000
#: A batch above this is not doubled again, in seconds: progress and cancelling are checked between requests.
LONGEST_REQUEST = 1.0
#: After so many failing requests in a row the server is at fault and not the rows; after so many time-outs.
FAILURES_IN_A_ROW, TIMEOUTS_IN_A_ROW = 5, 2
#: How often a failing batch is repeated before it is divided: a 500 may be transient, or a row it cannot read.
REPEATS = 3
#: A single row is repeated more often before it is called unreadable: a false verdict would lose it.
SINGLE_REPEATS = 5
#: Requests of one process in flight: one is written or read while the server works on two.
SENDERS = 3
#: What a cell takes in a body on average, until the first bodies tell.
CELL_BYTES = 20
#: Probabilities are kept this far from 0 and 1 before the logit: float32 loses the tail (design, section 2.1).
CLIP = 1e-6


@dataclass(slots=True)
class Batching:
    """The number of rows per request: doubled while that pays, halved when the server says that it is too much."""

    rows: int = FIRST_BATCH
    settled: bool = False
    #: The most rows that were answered at once.
    answered: int = 0
    _rate: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def took(self, rows: int, seconds: float) -> None:
        """Learn from a request that was as large as allowed."""
        with self._lock:
            if self.settled or rows < self.rows:
                return
            rate = rows / max(seconds, 1e-6)
            if rate > 1.1 * self._rate and seconds < LONGEST_REQUEST and self.rows < LARGEST_BATCH:
                self._rate = rate
                self.rows = min(self.rows * 2, LARGEST_BATCH)
            else:
                self.settled = True

    def was_one_row(self) -> None:
        """A row hung and not their number: as many may go as were answered before."""
        with self._lock:
            self.rows = max(self.rows, self.answered)

    def too_large(self, rows: int) -> None:
        """Never send so many again."""
        with self._lock:
            self.rows = max(1, min(self.rows, rows) // 2)
            self.settled = True


@dataclass(slots=True)
class Scored:
    """``outputs``: (rows,) the chosen output, NaN where the model gave none. ``problems``: row index -> sentence."""

    outputs: Floats
    problems: dict[int, str]


def divided(scored: Scored, lengths: Sequence[int]) -> list[Scored]:
    """What is known of joined tables, for each of them."""
    parts, start = [], 0
    for length in lengths:
        problems = {i - start: said for i, said in scored.problems.items() if start <= i < start + length}
        parts.append(Scored(scored.outputs[start : start + length], problems))
        start += length
    return parts


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
        limiter: Limiter | None = None,
        scale: Scale = "raw",
        batch: int = FIRST_BATCH,
    ) -> None:
        """``output``: index into each row's outputs, ``None`` when there is one. ``stopped`` raises to abandon work.

        ``limiter``: the endpoint's limits over all workers. ``scale`` "log_odds": the logit of the chosen output.
        ``batch``: rows of the first request (``probe.Report.batch``).
        """
        self._client = client
        self._wire = wire
        self._output = output
        self.stopped = stopped
        self._sleep = sleep
        self._limiter = limiter or LocalLimiter()
        self._scale = scale
        self._failures = self._timeouts = 0
        self._good: Table | None = None
        self._lock = threading.Lock()
        self.batching = Batching(rows=batch)
        self.scored = 0
        self._gathering = Gathering(
            self._score, divide=divided, largest=lambda: self.batching.rows, senders=SENDERS, stopped=stopped
        )
        if watch := getattr(client, "watch", None):  # clients over HTTP ask it while they wait for an answer, too
            watch(stopped)

    def score(self, rows: Table) -> Scored:
        """Safe to call from several threads, whose rows share requests.

        Raises a ``ServingError`` when the endpoint, and not a row, is at fault.
        """
        return self._gathering.ask(rows)

    def _score(self, rows: Table) -> Scored:
        outputs = np.full(len(rows), np.nan)
        problems: dict[int, str] = {}
        start = 0
        while start < len(rows):
            self.stopped()
            stop = start + self._size(rows, len(rows) - start)
            began = time.perf_counter()
            self._fill(rows, start, stop, outputs, problems)
            self.batching.took(stop - start, time.perf_counter() - began)
            start = stop
        if self._scale == "log_odds":
            outputs = log_odds(outputs, problems)
        for i in np.flatnonzero(~np.isfinite(outputs)):
            problems.setdefault(int(i), "The model answered NaN or infinity for it.")
        with self._lock:
            self.scored += len(rows)
        return Scored(outputs, problems)

    def _size(self, rows: Table, left: int) -> int:
        """Rows of the next request: as many as fit; evenly divided once the best size is known."""
        known = getattr(self._client, "bytes_per_row", {}).get(self._wire)
        a_row = known or CELL_BYTES * max(len(rows.columns), 1)
        most = min(
            self.batching.rows,
            max(1, int(LARGEST_BODY / (1.05 * a_row))),
            self._limiter.largest or LARGEST_BATCH,
            getattr(self._client, "largest_batch", None) or LARGEST_BATCH,
        )
        if self.batching.settled and left > most:
            requests = -(-left // most)
            return -(-left // requests)
        return min(most, left)

    def _fill(
        self, rows: Table, start: int, stop: int, outputs: Floats, problems: dict[int, str], *, repeats: int = REPEATS
    ) -> None:
        single = stop - start == 1
        sent = rows.take(slice(start, stop))
        try:
            outputs[start:stop] = self._once(sent, SINGLE_REPEATS if single else repeats)
        except TooLarge as error:
            if single and error.code == "endpoint.timeout" and self._answers():
                problems[start] = f"The model does not end with it. {error.sentence}"
                self.batching.was_one_row()
                return
            if single:
                raise Unreachable(f"{error.sentence} Even one row is too much.", code=error.code) from error
            self.batching.too_large(stop - start)
            if error.code == "endpoint.timeout":
                self._failed(error)
        except ServerFailed as error:
            self._failed(error, single=single)
            if single:
                problems[start] = f"The model fails on it. {error.sentence}"
                return
        else:
            with self._lock:
                self._failures = self._timeouts = 0
                self._good = self._good or sent.take([0])
                self.batching.answered = max(self.batching.answered, stop - start)
            return
        middle = (start + stop) // 2
        self._fill(rows, start, middle, outputs, problems, repeats=1)
        self._fill(rows, middle, stop, outputs, problems, repeats=1)

    def _failed(self, error: ServingError, *, single: bool = False) -> None:
        """Break the circuit when the server, and not the rows, is at fault.

        Dividing towards a bad row fails several times in a row, too. What tells the two apart is a row that was
        answered before; until there is one, only single rows and time-outs count.
        """
        with self._lock:
            good, timeout = self._good, error.code == "endpoint.timeout"
            self._timeouts += timeout
            self._failures += good is not None or single or timeout
            hangs = good is not None and self._timeouts >= TIMEOUTS_IN_A_ROW
            if self._failures < FAILURES_IN_A_ROW and not hangs:
                return
        if self._answers():
            return
        raise Unreachable(
            f"The server fails on every row. {error.sentence.rstrip('.')}. Read the server's own log.", code=error.code
        ) from error

    def _answers(self) -> bool:
        """Whether the server still answers a row that it answered before: then it is not the server."""
        with self._lock:
            good = self._good
        if good is None:
            return False
        try:
            self._once(good, SINGLE_REPEATS)
        except (ServerFailed, TooLarge):
            return False
        with self._lock:
            self._failures = self._timeouts = 0
        return True

    def _once(self, rows: Table, repeats: int) -> Floats:
        for repeat in range(repeats):
            self.stopped()
            try:
                return self._send(rows)
            except ServerFailed:
                self._sleep(0.05 * 2**repeat)
        self.stopped()
        return self._send(rows)

    def _send(self, rows: Table) -> Floats:
        with self._limiter.slot(len(rows), self.stopped):
            return choose(self._client.send(rows, wire=self._wire), self._output)


def log_odds(outputs: Floats, problems: dict[int, str]) -> Floats:
    """The logit of probabilities, clipped to [1e-6, 1 - 1e-6]; what is no probability becomes NaN and a problem.

    Never a link of the explainer: with ``link="logit"`` shap explains another game (design, section 2.1).
    """
    with np.errstate(invalid="ignore"):
        wrong = (outputs < 0) | (outputs > 1)
    for i in np.flatnonzero(wrong).tolist():
        problems.setdefault(i, f"The model answered {outputs[i]:g}, which is no probability and has no log-odds.")
    clipped = np.clip(np.where(wrong, np.nan, outputs), CLIP, 1 - CLIP)
    return np.asarray(np.log(clipped / (1 - clipped)), dtype=np.float64)


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
