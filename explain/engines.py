"""From rows to results: the methods' mathematics on one side, a served model on the other. No database here.

Every chunk is explained on its own and every random number comes from (seed, row id), so that results do not depend on
chunks, their order, threads, or where a killed worker was taken over: a resumed job is byte-equal to one that ran
through.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from explain.methods import lime
from explain.methods.codes import Codebook, Codes, Column, Floats
from explain.methods.pairperm import Attribution, Estimator
from explain.methods.quality import RowResult, certain_ranks
from explain.serving.protocol import Cancelled, Table, WrongAnswer
from explain.serving.scoring import Scorer

#: Model rows that the first rounds of one chunk should about need: larger gains nothing, and cancelling waits for it.
CHUNK_ROWS = 8_000
#: Chunks in flight in one process: those that wait while the server works share the next request.
IN_FLIGHT = 16


@dataclass(frozen=True, slots=True)
class Question:
    """One row to explain: its stable id and its cells."""

    row_id: str
    cells: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Inquiry:
    """What is asked, without where it comes from."""

    columns: tuple[Column, ...]
    rows: tuple[Question, ...]
    background: tuple[tuple[Any, ...], ...]
    seed: int
    tol: float
    budget: int
    #: Rounds of the pair-permutation estimator, at least and at most.
    rounds: tuple[int, int] = (2, 16)

    @property
    def table(self) -> Table:
        """Rows, then background, as they are sent."""
        cells = [list(row.cells) for row in self.rows] + [list(row) for row in self.background]
        book = Codebook(self.columns, cells)
        return Table(self.columns, book.decode(book.encode(cells)))

    @property
    def reference(self) -> Table:
        """The background, as it is sent."""
        return Table(self.columns, [column[len(self.rows) :] for column in self.table.cells])

    @property
    def budget_per_row(self) -> int:
        """Model rows per explained row: a share that does not depend on which rows come first."""
        return self.budget // max(len(self.rows), 1)


class Engine(Protocol):
    """Explains chunks of rows. ``explain`` runs in a worker's thread."""

    #: How many rows make a chunk.
    chunk: int

    def explain(self, questions: Sequence[Question]) -> list[RowResult]:
        """One result per question, in order; a row that cannot be explained has a ``problem``."""
        ...


def shap_rounds(*, features: int, background: int, budget_per_row: int, most: int) -> int:
    """The most rounds that the budget allows, at most ``most``; below two nothing can be estimated."""
    cost = max(1, background * 2 * (features - 1))
    return min(most, (budget_per_row - 1) // cost)


def shap_chunk(*, features: int, background: int, least: int) -> int:
    """How many rows make a chunk: their first rounds fill one request. Depends on nothing but the question."""
    return max(1, round(CHUNK_ROWS / max(1, least * background * 2 * (features - 1))))


class ShapEngine:
    """Pair-permutation SHAP (``methods.pairperm``) over a served model."""

    def __init__(self, inquiry: Inquiry, scorer: Scorer) -> None:
        """Scores the background. Raises a ``ServingError``, also when the model gives no number for a
        background row.
        """
        self._inquiry, self._scorer = inquiry, scorer
        #: One chunk is planned after the other: threads that share the interpreter would all be ready late.
        self._planning = threading.Lock()
        cells = [list(row) for row in inquiry.background]
        self._book = Codebook(inquiry.columns, [*cells, *(list(row.cells) for row in inquiry.rows)])
        self._background = self._book.encode(cells)
        features, size = len(inquiry.columns), len(cells)
        self._least, most = inquiry.rounds
        self._most = max(
            self._least,
            shap_rounds(features=features, background=size, budget_per_row=inquiry.budget_per_row, most=most),
        )
        self.chunk = shap_chunk(features=features, background=size, least=self._least)
        self._fb = background_outputs(scorer, self._table(self._background))

    def _table(self, codes: Codes) -> Table:
        return Table(self._inquiry.columns, self._book.decode(codes))

    def explain(self, questions: Sequence[Question]) -> list[RowResult]:
        codes = self._book.encode([list(question.cells) for question in questions])
        estimators = [
            Estimator(
                codes[i],
                self._background,
                seed=self._inquiry.seed,
                row_id=question.row_id,
                tol=self._inquiry.tol,
                least=self._least,
                most=self._most,
            )
            for i, question in enumerate(questions)
        ]
        problems: dict[int, str] = {}
        fx = self._round(range(len(questions)), estimators, codes, problems)
        while active := [i for i, each in enumerate(estimators) if not each.done and i not in problems]:
            self._round(active, estimators, codes[:0], problems, fx)
        return [
            RowResult(question.row_id, problem=problems[i], evals=estimators[i].evals)
            if i in problems
            else _attributed(question, estimators[i].result())
            for i, question in enumerate(questions)
        ]

    def _round(
        self,
        active: Sequence[int],
        estimators: Sequence[Estimator],
        ends: Codes,
        problems: dict[int, str],
        fx: Floats | None = None,
    ) -> Floats:
        """The next rounds of all active rows in shared requests, each distinct row scored once.

        ``ends``: the explained rows themselves, scored with the first rounds. Answers their outputs.
        """
        with self._planning:
            planned = [estimators[i].plan_rounds() for i in active]
            distinct, inverse = distinct_rows(np.concatenate([ends, *planned]))
            table = self._table(distinct)
        scored = self._scorer.score(table)
        answers = scored.outputs[inverse]
        start = len(ends)
        outputs = answers[:start] if fx is None else fx
        for i in range(start):
            if not np.isfinite(outputs[i]):
                problems[i] = scored.problems[int(inverse[i])]
        for i, rows in zip(active, planned, strict=True):
            mine = answers[start : start + len(rows)]
            start += len(rows)
            if i in problems:
                continue
            if np.isfinite(mine).all():
                estimators[i].take(mine, fx=float(outputs[i]), fb=self._fb)
                continue
            missing = int((~np.isfinite(mine)).sum())
            problems[i] = f"The model gives no number for {missing} of the {len(rows)} mixed rows that explain it."
        return outputs


def background_outputs(scorer: Scorer, background: Table) -> Floats:
    """The outputs of the background rows. Raises ``WrongAnswer`` that names the row without one."""
    scored = scorer.score(background)
    if scored.problems:
        index, sentence = min(scored.problems.items())
        raise WrongAnswer(
            f"Background row {index + 1} gets no prediction. {sentence} Leave it out of the background.",
            code="background.unusable",
        )
    return scored.outputs


def distinct_rows(codes: Codes) -> tuple[Codes, npt.NDArray[np.intp]]:
    """Distinct rows in order of their bytes, and for each row of ``codes`` its place among them."""
    if len(codes) == 0:
        return codes, np.zeros(0, dtype=np.intp)
    packed = np.ascontiguousarray(codes).view(np.dtype((np.void, codes.dtype.itemsize * codes.shape[1]))).ravel()
    _values, first, inverse = np.unique(packed, return_index=True, return_inverse=True)
    return codes[first], inverse


def _attributed(question: Question, made: Attribution) -> RowResult:
    return RowResult(
        row_id=question.row_id,
        phi=tuple(made.phi.tolist()),
        se=tuple(made.se.tolist()),
        base=made.base,
        fx=made.fx,
        residual=made.residual,
        evals=made.evals,
        rounds=made.rounds,
        converged=made.converged,
        certain=certain_ranks(made.phi, made.se),
    )


class LimeEngine:
    """LIME (``methods.lime``) over a served model, one row at a time."""

    chunk = 1

    def __init__(self, inquiry: Inquiry, scorer: Scorer) -> None:
        """Raises ``UnusableColumn`` when a column cannot be perturbed."""
        self._inquiry, self._scorer = inquiry, scorer
        self._around = lime.Neighbourhood(
            inquiry.columns, [list(row) for row in inquiry.background], [list(row.cells) for row in inquiry.rows]
        )

    def explain(self, questions: Sequence[Question]) -> list[RowResult]:
        return [self._one(question) for question in questions]

    def _one(self, question: Question) -> RowResult:
        fx: list[float] = []

        def score(cells: list[npt.NDArray[Any]]) -> Floats:
            scored = self._scorer.score(Table(self._inquiry.columns, cells))
            if scored.problems:
                _index, sentence = min(scored.problems.items())
                raise _NoNumber(f"{len(scored.problems)} of {len(scored.outputs)} sampled rows fail. {sentence}")
            fx.append(float(scored.outputs[0]))  # lime's first sample is the row itself
            return scored.outputs

        try:
            made = lime.explain(
                self._around,
                question.cells,
                score,
                seed=self._inquiry.seed,
                row_id=question.row_id,
                budget=self._inquiry.budget_per_row,
            )
        except _NoNumber as error:
            return RowResult(question.row_id, problem=str(error))
        return RowResult(
            row_id=question.row_id,
            phi=tuple(made.weights.tolist()),
            se=tuple(made.spread.tolist()),
            base=made.intercept,
            fx=fx[0],
            residual=made.local - fx[0],
            evals=made.evals,
            rounds=lime.SEEDS,
            converged=made.stable,
            certain=certain_ranks(made.weights, made.spread),
            diagnostics={"r2": made.r2, "vsi": made.vsi, "csi": made.csi, "samples": made.samples},
        )


class _NoNumber(Exception):  # noqa: N818
    """The model gave no number for sampled rows."""


@dataclass(frozen=True, slots=True)
class Done:
    """A finished chunk: its number in the job, and one result per row."""

    number: int
    rows: list[RowResult]


#: Answers the next chunk that this process may work on, with its number; None when there is none (now).
Claim = Callable[[], tuple[int, Sequence[Question]] | None]


def run(engine: Engine, claim: Claim, *, poll: Callable[[], bool], stop: threading.Event) -> Iterator[Done]:
    """Finished chunks as they finish, computed with ``IN_FLIGHT`` threads; which chunks is up to ``claim``.

    ``poll`` is asked about twice a second, from the calling thread, whether to go on; when not, ``stop`` is set, which
    ends the threads at their next request. Raises ``Cancelled`` then, or what a chunk raised. Threads that still wait
    for an answer are left to end by themselves: nothing that they bring is kept.
    """
    pool = ThreadPoolExecutor(max_workers=IN_FLIGHT, thread_name_prefix="explain")
    flying: dict[Future[list[RowResult]], int] = {}
    try:
        while True:
            while len(flying) < IN_FLIGHT and (claimed := claim()) is not None:
                number, questions = claimed
                flying[pool.submit(engine.explain, questions)] = number
            if not flying:
                return
            landed, _waiting = wait(flying, timeout=0.5, return_when=FIRST_COMPLETED)
            for future in landed:
                yield Done(flying.pop(future), future.result())
            if not poll():
                raise Cancelled
    except BaseException:
        stop.set()
        raise
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
