"""Interventional SHAP values by one antithetic permutation per background row.

The value of a coalition S is ``v(S) = mean_b f(x_S, b_notS)`` over a fixed background. Instead of walking one
permutation over the whole background, every background row gets its *own* random permutation, and that permutation
reversed, over the features in which it differs from the explained row. The estimate stays unbiased for the same
Shapley value (Strumbelj & Kononenko 2014, with the antithetic sampling of Mitchell et al. 2022), each pair of walks
sums exactly to f(x) - f(b) by telescoping, and a round costs 2(d - 1) model rows per background row, d being the
number of differing features.

Planning (which rows must be scored) is separate from scoring, so that the rows of many explanations share one request.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

from explain.methods.codes import Codes, Floats

#: 97.5 % quantile of the normal distribution: half width of a 95 % interval in standard errors.
Z95 = 1.959963984540054
#: From so many degrees of freedom on Student's quantile is taken for the normal one (2.04 there).
NORMAL_FROM = 30


@cache
def widening(degrees: int) -> float:
    """By what a standard error with so few degrees of freedom is multiplied, so that ``Z95`` of it on either side are
    a 95 % interval all the same: the quantile of Student's t over ``Z95`` (Student 1908). 1 from ``NORMAL_FROM`` on.
    """
    if degrees >= NORMAL_FROM:
        return 1.0
    from scipy.special import stdtrit  # pages that show results do not need it

    return float(stdtrit(max(degrees, 1), 0.975)) / Z95


def least_rounds(least: int, most: int, *, background: int) -> int:
    """Rounds before the error is believed: few permutations of few background rows take few values, often all the same,
    and what they do not show no quantile mends. More rounds do; over 30 rows ``least`` are enough.
    """
    return min(max(least, 1 + -(-NORMAL_FROM // max(background, 1))), most)


def row_key(row_id: str) -> int:
    """A stable non-negative integer for a row's id: it seeds the row, wherever the row stands in the job."""
    return int.from_bytes(hashlib.sha256(row_id.encode()).digest()[:8], "big")


@dataclass(frozen=True, slots=True)
class Plan:
    """One round for one explained row.

    ``rows``: codes (2 * pairs, features), forward walks first; ``rank``: (background, features) position of a feature
    in the background row's permutation; ``differing``: (background,) number of differing features d; ``owner`` and
    ``step``: (pairs,) background row and walk position of each planned row.
    """

    rows: Codes
    rank: npt.NDArray[np.int64]
    differing: npt.NDArray[np.int64]
    owner: npt.NDArray[np.int64]
    step: npt.NDArray[np.int64]


def plan(x: Codes, background: Codes, *, seed: int, row_id: str, round_: int) -> Plan:
    """The rows to score in round ``round_`` for the row ``x`` (features,) against ``background`` (n, features).

    The random numbers depend on nothing but (seed, row id, round): not on chunking, order, resume or concurrency.
    """
    rng = np.random.default_rng([seed, row_key(row_id), round_])
    differs = background != x
    draws = np.where(differs, rng.random(background.shape), np.inf)
    rank = np.argsort(np.argsort(draws, axis=1, kind="stable"), axis=1, kind="stable")
    differing = differs.sum(axis=1)
    steps = np.maximum(differing - 1, 0)
    owner = np.repeat(np.arange(len(background)), steps)
    step = np.arange(len(owner)) - np.repeat(np.cumsum(steps) - steps, steps) + 1
    forward = np.where(rank[owner] < step[:, None], x, background[owner])
    backward = np.where(rank[owner] >= (differing[owner] - step)[:, None], x, background[owner])
    return Plan(np.concatenate([forward, backward]).astype(np.int32), rank, differing, owner, step)


def estimate(made: Plan, answers: Floats, *, fx: float, fb: Floats) -> Floats:
    """Contributions per background row and feature, shape (background, features), from one round's answers.

    ``answers``: (len(made.rows),) model outputs in the plan's order; ``fx`` the output of the explained row; ``fb``:
    (background,) outputs of the background rows. Row b sums to ``fx - fb[b]``.
    """
    pairs = len(made.owner)
    forward = _walk(made, answers[:pairs], fx=fx, fb=fb)
    backward = _walk(made, answers[pairs:], fx=fx, fb=fb)
    position = np.minimum(made.rank, np.maximum(made.differing - 1, 0)[:, None])
    mirrored = np.maximum(made.differing[:, None] - 1 - position, 0)
    both = (np.take_along_axis(forward, position, 1) + np.take_along_axis(backward, mirrored, 1)) / 2
    return np.where(made.rank < made.differing[:, None], both, 0.0)


def _walk(made: Plan, answers: Floats, *, fx: float, fb: Floats) -> Floats:
    """Differences along each walk from the background row to the explained row: (background, longest walk)."""
    longest = int(made.differing.max(initial=0))
    outputs = np.full((len(fb), longest + 1), fx, dtype=np.float64)
    outputs[:, 0] = fb
    outputs[made.owner, made.step] = answers
    if longest == 0:
        return np.zeros((len(fb), 1))
    return np.diff(outputs, axis=1)


@dataclass(frozen=True, slots=True)
class Attribution:
    """One explained row: ``phi`` and ``se`` (features,) in units of the model's output; ``base`` + sum(phi) =
    ``fx``.
    """

    phi: Floats
    se: Floats
    base: float
    fx: float
    rounds: int
    evals: int
    converged: bool

    @property
    def residual(self) -> float:
        """What additivity misses: zero up to rounding, or something is wrong."""
        return float(self.base + self.phi.sum() - self.fx)


class Estimator:
    """Adaptive estimation of one row: ask ``plan_rounds()``, score, ``take()`` the answers, until ``done``.

    Stops when ``1.96 * max SE <= tol * max |phi|`` after at least ``least`` rounds, or after ``most`` rounds
    unconverged. The standard error pools the variance within each background row over the rounds: ``SE_j = sqrt(sum_b
    s2_bj / (R n^2))``, usable from two rounds (hence ``least >= 2``). Over a tiny background more rounds come first,
    and the error is widened. As many rounds as the error so far calls for are planned at once, so that a row needs two
    or three requests and not one for each round.
    """

    def __init__(
        self, x: Codes, background: Codes, *, seed: int, row_id: str, tol: float, least: int = 2, most: int = 16
    ) -> None:
        if not 2 <= least <= most:
            raise ValueError("a standard error needs at least two rounds, and no more than the most")
        self._x, self._background = x, background
        self._seed, self._row_id = seed, row_id
        self._tol, self._least, self._most = tol, least_rounds(least, most, background=len(background)), most
        self._plans: list[Plan] = []
        self._ends: tuple[float, Floats] | None = None
        self._sum = np.zeros(background.shape)
        self._squares = np.zeros(background.shape)
        self.rounds = 0
        self.evals = 0
        self.done = False
        self.converged = False

    def plan_rounds(self) -> Codes:
        """Codes of the rows of the next rounds (possibly none); call ``take`` with their outputs afterwards."""
        last = self.rounds + self._wanted()
        self._plans = [
            plan(self._x, self._background, seed=self._seed, row_id=self._row_id, round_=number)
            for number in range(self.rounds, last)
        ]
        return np.concatenate([each.rows for each in self._plans])

    def _wanted(self) -> int:
        """How many more rounds the error so far calls for: it falls with the square root of the rounds."""
        if self.rounds < self._least:
            return self._least - self.rounds
        result = self.result()
        allowed = self._tol * float(np.abs(result.phi).max(initial=0.0))
        missed = Z95 * float(result.se.max(initial=0.0))
        most = self._most - self.rounds
        # compared by multiplying: the allowance may be so small that a quotient overflows
        if missed**2 * self.rounds >= self._most * allowed**2:
            return most
        return min(max(1, int(np.ceil(self.rounds * (missed / allowed) ** 2)) - self.rounds), most)

    def take(self, answers: Floats, *, fx: float, fb: Floats) -> None:
        """Add the outputs of the planned rows; decide whether more rounds are needed."""
        if not self._plans:
            raise RuntimeError("take() follows plan_rounds()")
        self._ends = (fx, fb)
        start = 0
        for each in self._plans:
            stop = start + len(each.rows)
            self._add(estimate(each, answers[start:stop], fx=fx, fb=fb))
            start = stop
        self._plans = []
        self.evals += len(answers)
        result = self.result()
        self.converged = bool(Z95 * result.se.max(initial=0.0) <= self._tol * np.abs(result.phi).max(initial=0.0))
        self.done = self.converged or self.rounds >= self._most

    def _add(self, drawn: Floats) -> None:
        # Welford's update: a sum of squares would lose the small variances of large contributions
        before = drawn - self._mean(self.rounds)
        self.rounds += 1
        self._sum += drawn
        self._squares += before * (drawn - self._mean(self.rounds))

    def _mean(self, rounds: int) -> Floats:
        return self._sum / max(rounds, 1)

    def result(self) -> Attribution:
        """The estimate so far. Raises ``RuntimeError`` before the second round: it would have no standard error."""
        if self._ends is None or self.rounds < 2:
            raise RuntimeError("no result before two rounds")
        fx, fb = self._ends
        count = len(fb)
        variance = self._squares / (self.rounds - 1)
        error = np.sqrt(variance.sum(axis=0) / (self.rounds * count**2))
        if count * (self.rounds - 1) < NORMAL_FROM:
            degrees = (self.rounds - 1) * (self._background != self._x).sum(axis=0)
            error = error * [widening(int(each)) for each in degrees]
        return Attribution(
            phi=self._mean(self.rounds).mean(axis=0),
            se=error,
            base=float(fb.mean()),
            fx=fx,
            rounds=self.rounds,
            evals=self.evals,
            converged=self.converged,
        )
