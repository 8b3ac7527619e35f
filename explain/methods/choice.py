"""Which estimator answers a question, and why (design, section 6).

In order: in process where the model's artifact is at hand and says the same as the endpoint; over all coalitions where
that costs no more than an estimate may; an estimate with a stated error otherwise. shap's permutations and Kernel SHAP
never come by themselves: they cost more rows for the same error, and are there to check against.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from explain.methods import lime, replay

Method = Literal["shap", "lime"]
Scale = Literal["probability", "log_odds", "raw"]
Artifact = Literal["tree", "linear"]
Algorithm = Literal["tree", "linear", "exact", "pair_perm", "permutation", "kernel", "lime"]
Wanted = Literal["auto", "tree", "linear", "exact", "pair_perm", "permutation", "kernel", "lime"]

#: Largest difference between the artifact's answers and the endpoint's, relative to max(1, largest output).
LARGEST_PARITY = 1e-6
#: Rounds of pair permutations whose cost an exact enumeration may have, and features that it may have.
MOST_ROUNDS, MOST_EXACT_FEATURES = 16, 10
#: Pair permutations need two rounds for an error.
LEAST_ROUNDS = 2


@dataclass(frozen=True, slots=True)
class Choice:
    """``because``: code of the reason. ``facts``: the numbers that it rests on, by name."""

    algorithm: Algorithm
    because: str
    facts: Mapping[str, float] = field(default_factory=dict)


class Impossible(ValueError):  # noqa: N818
    """The wished algorithm cannot answer the question: ``code`` says why, ``facts`` has the numbers."""

    def __init__(self, code: str, facts: Mapping[str, float] | None = None) -> None:
        super().__init__(code)
        self.code = code
        self.facts = dict(facts or {})


@dataclass(frozen=True, slots=True)
class _Asked:
    features: int
    background: int
    scale: Scale
    artifact: Artifact | None
    artifact_scale: Scale | None
    parity: float | None
    budget_per_row: int
    rounds: int

    def why_not_in_process(self, kind: Artifact) -> str | None:
        """Code of what keeps the artifact from answering; None when nothing does."""
        if self.artifact is None:
            return "artifact.missing"
        if self.artifact != kind:
            return "artifact.kind"
        additive = (self.artifact_scale,) if self.artifact_scale else ("raw", "log_odds")
        if self.scale not in additive:
            return "artifact.scale"
        if self.parity is None:
            return "artifact.parity_unknown"
        # written so that NaN does not pass
        return None if self.parity <= LARGEST_PARITY else "artifact.parity"

    @property
    def exact_rows(self) -> int:
        return int(2 ** min(self.features, 62)) * self.background

    def pair_rows(self, rounds: int) -> int:
        return rounds * 2 * max(self.features - 1, 0) * self.background

    def least_rows(self, algorithm: Algorithm) -> int:
        """Model rows per explained row without which the algorithm says nothing."""
        match algorithm:
            case "exact":
                return self.exact_rows
            case "pair_perm":
                return self.pair_rows(LEAST_ROUNDS)
            case "permutation":
                return 2 * (2 * self.features + 1) * self.background
            case "kernel":
                return (2 * self.features + 1) * self.background
            case "lime":
                return lime.SEEDS * lime.FIRST_SAMPLES
        return 0


def choose(
    *,
    method: Method,
    features: int,
    background: int,
    scale: Scale,
    artifact: Artifact | None,
    parity: float | None,
    budget_per_row: int,
    wanted: Wanted = "auto",
    artifact_scale: Scale | None = None,
    rounds: int = MOST_ROUNDS,
) -> Choice:
    """The algorithm for one job.

    ``parity``: largest difference between the artifact's answers and the endpoint's over the probe's rows, both as
    served (a logit would magnify the rounding of float32 probabilities), relative to max(1, largest output); ``None``
    when it was not measured. ``artifact_scale``: on which scale the artifact is additive, ``None`` for a margin.
    ``rounds``: the most rounds that pair permutations may take.

    Raises ``Impossible`` with a code: ``method.other``, ``artifact.missing``, ``artifact.kind``, ``artifact.scale``,
    ``artifact.parity_unknown``, ``artifact.parity``, ``exact.too_many_features``, ``budget.too_small``.
    """
    asked = _Asked(features, background, scale, artifact, artifact_scale, parity, budget_per_row, rounds)
    if wanted != "auto":
        return _wished(wanted, method, asked)
    if method == "lime":
        return _affordable("lime", "asked", asked)
    if artifact is not None and asked.why_not_in_process(artifact) is None:
        return Choice(artifact, "artifact.agrees", {"parity": float(parity or 0.0)})
    if _enumerable(asked):
        return Choice("exact", "few_features", {"rows": asked.exact_rows, "features": features})
    return _affordable("pair_perm", "black_box", asked)


def _enumerable(asked: _Asked) -> bool:
    """Whether all coalitions cost no more than pair permutations may."""
    cap = min(asked.pair_rows(asked.rounds), asked.budget_per_row)
    return asked.features <= MOST_EXACT_FEATURES and asked.exact_rows <= cap


def _wished(wanted: Algorithm, method: Method, asked: _Asked) -> Choice:
    if (wanted == "lime") != (method == "lime"):
        raise Impossible("method.other")
    if wanted in ("tree", "linear"):
        if code := asked.why_not_in_process(wanted):
            facts = {} if asked.parity is None else {"parity": asked.parity, "most": LARGEST_PARITY}
            raise Impossible(code, facts)
        return Choice(wanted, "asked", {"parity": float(asked.parity or 0.0)})
    if wanted == "exact" and asked.features > replay.MOST_EXACT_FEATURES:
        raise Impossible("exact.too_many_features", {"features": asked.features, "most": replay.MOST_EXACT_FEATURES})
    return _affordable(wanted, "asked", asked)


def _affordable(algorithm: Algorithm, because: str, asked: _Asked) -> Choice:
    rows = asked.least_rows(algorithm)
    facts = {"rows": rows, "budget_per_row": asked.budget_per_row}
    if rows > asked.budget_per_row:
        raise Impossible("budget.too_small", facts)
    return Choice(algorithm, because, facts)
