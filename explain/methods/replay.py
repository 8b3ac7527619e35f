"""shap's own black-box explainers, unmodified, over a model that answers later.

``ExactExplainer``, ``PermutationExplainer`` and ``KernelExplainer(l1_reg=False)`` choose their coalitions without
looking at outputs. So each runs twice: once with a recorder that answers zeros and keeps the rows, and once more, from
the same seed, with the answers. In between the rows of many explained rows share requests. The result is equal to the
last bit to the explainer that calls the model itself.

The explainers see integer codes, numbered anew for each explained row: ``np.isclose`` calls near-equal values equal
(relative tolerance 1e-5), and would do so even with codes above 100,000.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from explain.methods.codes import Codes, Floats
from explain.methods.pairperm import row_key, widening

Algorithm = Literal["exact", "permutation", "kernel"]

#: Above so many background rows two different codes may be "close" for shap.
MOST_BACKGROUND = 99_000
#: Features that may differ from the background for an exact enumeration: 65,536 coalitions of the whole background.
MOST_EXACT_FEATURES = 16
#: Coalitions that ``PermutationExplainer`` evaluates by default, and what Kernel SHAP adds to twice the features.
PERMUTATION_EVALS, KERNEL_EVALS = 500, 2_048
#: Into how many groups permutations are put to estimate their error, at most.
ERROR_GROUPS = 32

#: shap seeds and draws from numpy's process-wide generator: one pass at a time.
_ONE_PASS = threading.Lock()

Predict = Callable[[npt.NDArray[Any]], Floats]


@dataclass(frozen=True, slots=True)
class Values:
    """One explained row: ``phi`` (features,), ``base`` = mean output over the background.

    ``se``: (features,) standard error over permutations; zeros when ``complete`` (every coalition was evaluated, so
    that the values are exact); ``None`` when the algorithm gives no honest error.
    """

    phi: Floats
    base: float
    se: Floats | None
    complete: bool


def row_seed(seed: int, row_id: str) -> int:
    """What numpy's generator is seeded with for a row, wherever the row stands in the job."""
    return int(np.random.SeedSequence([seed, row_key(row_id)]).generate_state(1)[0])


class Replay:
    """Rows to score with ``record``, values from their outputs with ``replay``. Safe to share between threads."""

    def __init__(self, background: Codes, *, algorithm: Algorithm, seed: int, evals: int | None = None) -> None:
        """``background``: (n, features). ``evals``: coalitions per row, ``None`` for the library's default.

        Raises ``ValueError`` when ``evals`` does not suffice for a single estimate or the background is too large.
        """
        if len(background) > MOST_BACKGROUND:
            raise ValueError(f"shap tells at most {MOST_BACKGROUND} background rows apart")
        features = background.shape[1]
        least = 2 * features + 1
        if algorithm != "exact" and evals is not None and evals < least:  # shap fails, or divides by zero
            raise ValueError(f"{features} features need at least {least} coalitions per row")
        self._background, self._algorithm, self._seed = background, algorithm, seed
        self._evals = evals or default_evals(algorithm, features)

    def record(self, x: Codes, row_id: str) -> Codes:
        """Codes of the rows (evals, features) whose outputs ``replay`` needs, in order; the same row may recur.

        Raises ``ValueError`` when too many features differ for an exact enumeration.
        """
        local = _Local(x, self._background)
        kept = _Recorder()
        self._run(local, row_id, kept)
        return local.global_codes(np.concatenate(kept.asked))

    def replay(self, x: Codes, row_id: str, recorded: Codes, answers: Floats) -> Values:
        """The explainer's result, from ``answers`` (evals,) to the rows that ``record`` gave.

        Raises ``ValueError`` for an answer that is no number (shap would give NaN for all features, or an error about
        something else), ``RuntimeError`` when the explainer asks for other rows than it did.
        """
        if len(answers) != len(recorded) or not np.isfinite(answers).all():
            raise ValueError("every recorded row needs a finite answer")
        local = _Local(x, self._background)
        asked = local.local_codes(recorded)
        teller = _Teller(asked, np.asarray(answers, dtype=np.float64))
        phi, base = self._run(local, row_id, teller)
        differing = int((self._background != x).any(axis=0).sum())
        complete = self._algorithm == "exact" or differing < 2
        if self._algorithm == "kernel":
            complete = complete or 2**differing - 2 <= self._evals
        if complete:
            return Values(phi, base, np.zeros(len(x)), True)
        return Values(phi, base, self._error(local, row_id, teller, phi), False)

    def _error(self, local: _Local, row_id: str, teller: _Teller, phi: Floats) -> Floats | None:
        """Standard error over permutations, each of which shap evaluates with one call of the model.

        The values are linear in the answers. A third pass over a model with one output per group of calls, zero in
        all calls but its own, gives what each group of permutations contributes. Few groups widen it (``widening``).
        """
        calls = len(teller.calls)
        if self._algorithm != "permutation" or calls < 2:
            return None
        groups = min(calls, ERROR_GROUPS)
        parts = np.zeros((len(teller.answers), groups))
        for call, (start, stop) in enumerate(teller.calls):
            parts[start:stop, call % groups] = teller.answers[start:stop]
        shares, _base = self._run(local, row_id, _Teller(teller.rows, parts))
        sizes = np.bincount(np.arange(calls) % groups, minlength=groups)
        means = shares * (calls / sizes)
        variance = (sizes * (means - phi[:, None]) ** 2).sum(axis=1) / (groups - 1)
        return np.asarray(np.sqrt(variance / calls)) * widening(groups - 1)

    def _run(self, local: _Local, row_id: str, model: Predict) -> tuple[Floats, float]:
        seed = row_seed(self._seed, row_id)
        with _ONE_PASS, _seeded(seed):
            phi, base = explain_directly(
                model, local.x, local.background, algorithm=self._algorithm, seed=seed, evals=self._evals
            )
        return phi, base


def explain_directly(
    model: Predict, x: npt.NDArray[Any], background: npt.NDArray[Any], *, algorithm: Algorithm, seed: int, evals: int
) -> tuple[Floats, float]:
    """The unmodified explainer on one row: values (features,) or (features, outputs), and the (first) base value.

    Reseeds numpy's process-wide generator, as shap does. Raises ``ValueError`` from ``PermutationExplainer`` and
    ``ExactExplainer`` when ``evals`` is too low.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of shap's and numba's own making
        import shap  # seconds to import: only workers pay

        if algorithm == "kernel":
            np.random.seed(seed)
            kernel = shap.KernelExplainer(model, background)
            phi = kernel.shap_values(x, nsamples=evals, l1_reg=False, silent=True)
            return np.asarray(phi, dtype=np.float64), float(np.ravel(kernel.expected_value)[0])
        masker = shap.maskers.Independent(background, max_samples=len(background))
        if algorithm == "exact":
            made = shap.ExactExplainer(model, masker)(x[None], max_evals=evals, silent=True)
        else:
            made = shap.PermutationExplainer(model, masker, seed=seed)(x[None], max_evals=evals, silent=True)
    return np.asarray(made.values[0], dtype=np.float64), float(np.ravel(made.base_values)[0])


def default_evals(algorithm: Algorithm, features: int) -> int:
    """Coalitions per explained row when nothing else is asked for."""
    match algorithm:
        case "exact":
            return int(2**MOST_EXACT_FEATURES)
        case "permutation":
            return max(PERMUTATION_EVALS, 4 * features + 2)  # two permutations at least: one has no error
    return 2 * features + KERNEL_EVALS


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """numpy's process-wide generator as it was, afterwards."""
    state = np.random.get_state()
    np.random.seed(seed)
    try:
        yield
    finally:
        np.random.set_state(state)


class _Local:
    """A row and its background in codes of their own, 0 to n per column, and the way back."""

    def __init__(self, x: Codes, background: Codes) -> None:
        stacked = np.concatenate([x[None], background])
        self._tables = [np.unique(stacked[:, j]) for j in range(stacked.shape[1])]
        coded = self.local_codes(stacked)
        self.x, self.background = coded[0], coded[1:]

    def local_codes(self, codes: Codes) -> npt.NDArray[np.float64]:
        """Floats, because shap's maskers hand out floats whatever they are given."""
        return np.column_stack([np.searchsorted(table, codes[:, j]) for j, table in enumerate(self._tables)]).astype(
            np.float64
        )

    def global_codes(self, rows: npt.NDArray[Any]) -> Codes:
        places = rows.astype(np.intp)
        return np.column_stack([table[places[:, j]] for j, table in enumerate(self._tables)]).astype(np.int32)


class _Recorder:
    """A model that answers zero and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[npt.NDArray[Any]] = []

    def __call__(self, rows: npt.NDArray[Any]) -> Floats:
        self.asked.append(np.array(rows))
        return np.zeros(len(rows))


class _Teller:
    """A model that knows its answers by heart, in the order of the questions."""

    def __init__(self, rows: npt.NDArray[Any], answers: Floats) -> None:
        self.rows, self.answers = rows, answers
        self.calls: list[tuple[int, int]] = []
        self._next = 0

    def __call__(self, rows: npt.NDArray[Any]) -> Floats:
        start, stop = self._next, self._next + len(rows)
        if not np.array_equal(rows, self.rows[start:stop]):
            raise RuntimeError("the explainer asks for other rows than it did when they were recorded")
        self._next = stop
        self.calls.append((start, stop))
        return self.answers[start:stop]
