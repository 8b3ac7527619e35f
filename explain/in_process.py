"""Exact values from the model's own artifact, where it says what the endpoint says; the endpoint's engine elsewhere.

The served model is what is explained. So every explained row is scored at the endpoint too, and a row whose answers
differ, or whose values do not add up, is explained from outside like any other.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from explain.engines import Engine, Inquiry, Question
from explain.isolated import run as isolated
from explain.methods.choice import LARGEST_PARITY
from explain.methods.codes import Column, Floats
from explain.methods.quality import RowResult, certain_ranks
from explain.serving.limits import Stopped, go_on
from explain.serving.scoring import Scorer

#: Rows in a chunk: each starts a process, which takes seconds.
CHUNK = 200


@dataclass(frozen=True, slots=True)
class Parity:
    """How far the artifact's answers are from the endpoint's, relative to max(1, largest output); and what it is."""

    difference: float
    kind: isolated.Kind
    scale: str


def numbers(columns: Sequence[Column], rows: Sequence[Sequence[object]]) -> Floats | None:
    """Rows as floats, a missing value as NaN; ``None`` when a column holds text, which no tree here reads."""
    if any(column.kind == "string" for column in columns):
        return None
    cells = [[np.nan if value is None else float(value) for value in row] for row in rows]  # type: ignore[arg-type]
    return np.array(cells, dtype=np.float64).reshape(len(rows), len(columns))


def parity(artifact: Path, inquiry: Inquiry, served: Floats, *, output: int | None, stopped: Stopped = go_on) -> Parity:
    """Compare the artifact with ``served``: the endpoint's outputs of the background, as they are served (no logit).

    ``stopped`` raises to abandon the wait for the process. Raises ``isolated.Unloadable``.
    """
    rows = numbers(inquiry.columns, inquiry.background)
    if rows is None:
        raise isolated.refused("other_columns", "text")
    found = isolated.answers(artifact, rows, [column.name for column in inquiry.columns], stopped=stopped)
    outputs = found.outputs.shape[1]
    # an endpoint with a single output of two classes gives the probability of the second one
    lone = 1 if outputs == 2 else None
    column = 0 if outputs == 1 else lone if output is None else output
    if column is None or not 0 <= column < outputs:
        raise isolated.refused("other_output", str(outputs))
    return Parity(_difference(found.outputs[:, column], served), found.kind, found.scale)


def _difference(own: Floats, served: Floats) -> float:
    """NaN when either has one."""
    return float(np.abs(own - served).max(initial=0.0) / max(1.0, np.abs(served).max(initial=0.0)))


class ArtifactEngine:
    """Interventional TreeSHAP or the linear formula, in the isolated process."""

    def __init__(
        self,
        inquiry: Inquiry,
        scorer: Scorer,
        kind: isolated.Kind,
        artifact: Path,
        *,
        output: int | None,
        fallback: Callable[[Inquiry, Scorer], Engine],
    ) -> None:
        """``output``: which of the endpoint's outputs; ``fallback`` makes the engine for rows that this one cannot do.

        Nothing is opened or scored yet. Raises ``isolated.Unloadable`` for text columns.
        """
        background = numbers(inquiry.columns, inquiry.background)
        if background is None:
            raise isolated.refused("other_columns", "text")
        self._inquiry, self._scorer, self._kind, self._artifact = inquiry, scorer, kind, artifact
        self._background, self._output, self._fallback = background, output, fallback
        self._table, self._place = inquiry.table, {question.row_id: i for i, question in enumerate(inquiry.rows)}
        self._outside: Engine | None = None
        self._lock = threading.Lock()
        self.chunk = CHUNK

    def explain(self, questions: Sequence[Question]) -> list[RowResult]:
        """Raises ``isolated.Unloadable`` when the artifact cannot be used at all."""
        columns = self._inquiry.columns
        rows = numbers(columns, [question.cells for question in questions])
        if rows is None:
            raise isolated.refused("other_columns", "text")
        names = [column.name for column in columns]
        made = isolated.explain(
            self._kind,
            self._artifact,
            rows,
            self._background,
            names,
            output=self._output,
            stopped=self._scorer.stopped,
        )
        served = self._scorer.score(self._table.take([self._place[question.row_id] for question in questions]))
        results: list[RowResult | None] = []
        why: dict[int, str] = {}
        for i, question in enumerate(questions):
            if i in served.problems:
                results.append(RowResult(question.row_id, problem=served.problems[i], evals=1))
                continue
            if i in made.failed:
                why[i] = "not_additive"
            elif not _agrees(float(made.fx[i]), float(served.outputs[i]), made.scale):
                why[i] = "disagrees"
            results.append(None if i in why else _result(question, made, i))
        return self._completed(questions, results, why)

    def _completed(
        self, questions: Sequence[Question], results: Sequence[RowResult | None], why: dict[int, str]
    ) -> list[RowResult]:
        """The rows that are left, from outside; each says why it is."""
        others: dict[int, RowResult] = {}
        if why:
            outside = self._engine().explain([questions[i] for i in why])
            others = {
                i: replace(row, diagnostics={**row.diagnostics, "fallback": code})
                for (i, code), row in zip(why.items(), outside, strict=True)
            }
        return [row if row is not None else others[i] for i, row in enumerate(results)]

    def _engine(self) -> Engine:
        """Made when it is needed: it scores the background."""
        with self._lock:
            self._outside = self._outside or self._fallback(self._inquiry, self._scorer)
            return self._outside


def _agrees(own: float, served: float, scale: str) -> bool:
    """Compared as probabilities on the log-odds scale: a logit magnifies the rounding of float32, and is clipped."""
    if scale == "log_odds":
        own, served = (float(1 / (1 + np.exp(-np.clip(value, -500, 500)))) for value in (own, served))
    return abs(own - served) <= LARGEST_PARITY * max(1.0, abs(served))


def _result(question: Question, made: isolated.Attributions, i: int) -> RowResult:
    phi, fx = made.phi[i], float(made.fx[i])
    none = np.zeros(len(phi))
    return RowResult(
        row_id=question.row_id,
        phi=tuple(phi.tolist()),
        se=tuple(none.tolist()),
        base=made.base,
        fx=fx,
        residual=float(made.base + phi.sum() - fx),
        evals=1,
        rounds=1,
        converged=True,
        certain=certain_ranks(phi, none),
        diagnostics={"exact": True, "isolation": list(made.isolation)},
    )
