"""shap's own explainers over a served model: the engine around ``methods.replay``.

What counts as converged: exact values always do. Permutations do when their interval is within the tolerance,
1.96 * max SE <= tol * max |phi|, as pair permutations do. Kernel SHAP gives no error that one could hold against a
tolerance, so that it is never converged, a draft and a cross-check, unless its budget covers every coalition.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from explain.engines import CHUNK_ROWS, Inquiry, Question, background_outputs, distinct_rows
from explain.methods.codes import Codebook, Codes, Floats
from explain.methods.pairperm import Z95
from explain.methods.quality import RowResult, certain_ranks
from explain.methods.replay import MOST_EXACT_FEATURES, Algorithm, Replay, Values, default_evals
from explain.serving.protocol import ServingError, Table
from explain.serving.scoring import Scorer


def evals_for(algorithm: Algorithm, *, features: int, background: int, budget_per_row: int) -> int:
    """Coalitions per explained row: the library's default, or what the budget allows if that is less.

    Raises ``ServingError`` (``exact.too_many_features``, ``budget.too_small``) when no estimate is possible.
    """
    wanted = default_evals(algorithm, features)
    if algorithm == "exact" and features > MOST_EXACT_FEATURES:
        raise ServingError(
            f"{features} features have too many combinations to go through all of them; the most is "
            f"{MOST_EXACT_FEATURES}. Ask for pair permutations.",
            code="exact.too_many_features",
        )
    least = 2**features if algorithm == "exact" else 2 * features + 1
    if least * background > budget_per_row:
        raise ServingError(
            f"{features} features over {background} background rows need {least * background} model rows for each "
            f"explained row, and the budget allows {budget_per_row}. Ask for fewer rows or a larger budget.",
            code="budget.too_small",
        )
    return wanted if algorithm == "exact" else min(wanted, budget_per_row // background)


def replay_chunk(algorithm: Algorithm, *, features: int, background: int, budget_per_row: int) -> int:
    """How many rows make a chunk: about one request. Depends on nothing but the question."""
    evals = evals_for(algorithm, features=features, background=background, budget_per_row=budget_per_row)
    coalitions = 2**features if algorithm == "exact" else evals
    return max(1, CHUNK_ROWS // max(1, coalitions * background))


class ReplayEngine:
    """``ExactExplainer``, ``PermutationExplainer`` or ``KernelExplainer(l1_reg=False)`` over a served model."""

    def __init__(self, inquiry: Inquiry, scorer: Scorer, algorithm: Algorithm) -> None:
        """Scores the background. Raises a ``ServingError``, also for a budget that is too small."""
        self._inquiry, self._scorer, self._algorithm = inquiry, scorer, algorithm
        cells = [list(row) for row in inquiry.background]
        self._book = Codebook(inquiry.columns, [*cells, *(list(row.cells) for row in inquiry.rows)])
        background = self._book.encode(cells)
        size = {
            "features": len(inquiry.columns),
            "background": len(cells),
            "budget_per_row": inquiry.budget_per_row,
        }
        self._evals = evals_for(algorithm, **size)
        self.chunk = replay_chunk(algorithm, **size)
        self._replay = Replay(background, algorithm=algorithm, seed=inquiry.seed, evals=self._evals)
        background_outputs(scorer, self._table(background))

    def _table(self, codes: Codes) -> Table:
        return Table(self._inquiry.columns, self._book.decode(codes))

    def explain(self, questions: Sequence[Question]) -> list[RowResult]:
        codes = self._book.encode([list(question.cells) for question in questions])
        recorded = [self._replay.record(codes[i], question.row_id) for i, question in enumerate(questions)]
        distinct, inverse = distinct_rows(np.concatenate([codes, *recorded]))
        scored = self._scorer.score(self._table(distinct))
        answers = scored.outputs[inverse]
        results, start = [], len(questions)
        for i, question in enumerate(questions):
            mine = answers[start : start + len(recorded[i])]
            start += len(recorded[i])
            problem = _problem(float(answers[i]), mine, scored.problems.get(int(inverse[i]), ""))
            if problem:
                results.append(RowResult(question.row_id, problem=problem, evals=len(mine)))
                continue
            values = self._replay.replay(codes[i], question.row_id, recorded[i], mine)
            results.append(self._result(question, values, fx=float(answers[i]), evals=len(mine)))
        return results

    def _result(self, question: Question, values: Values, *, fx: float, evals: int) -> RowResult:
        se = np.zeros(len(values.phi)) if values.se is None else values.se
        size = float(np.abs(values.phi).max(initial=0.0))
        within = values.se is not None and Z95 * float(se.max(initial=0.0)) <= self._inquiry.tol * size
        known = values.se is not None
        return RowResult(
            row_id=question.row_id,
            phi=tuple(values.phi.tolist()),
            se=tuple(se.tolist()),
            base=values.base,
            fx=fx,
            residual=float(values.base + values.phi.sum() - fx),
            evals=evals,
            rounds=1,
            converged=values.complete or within,
            certain=certain_ranks(values.phi, se) if known else 0,
            diagnostics={"exact": values.complete, "error_known": known, "coalitions": self._evals},
        )


def _problem(fx: float, answers: Floats, sentence: str) -> str:
    """Why the row cannot be explained; empty when it can."""
    if not np.isfinite(fx):
        return sentence or "The model gives no number for it."
    missing = int((~np.isfinite(answers)).sum())
    if missing:
        return f"The model gives no number for {missing} of the {len(answers)} mixed rows that explain it."
    return ""
