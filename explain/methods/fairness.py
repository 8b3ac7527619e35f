"""How decisions and contributions differ between groups of people.

fairlearn measures; around it stand the rules about when a number says anything. A group of fewer than 30 people is not
shown, nor a rate over fewer than 10: fairlearn answers 0 for a rate over nobody. The largest difference between groups
is never negative, so that its bootstrap interval stays above zero even where all groups are alike; therefore ``chance``
says how often groups drawn by lot differ as much.

fairlearn imports scikit-learn: call this in workers only.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from explain.methods.codes import Floats
from explain.methods.quality import mean_interval
from explain.methods.refused import CannotSay

Bools = npt.NDArray[np.bool_]
#: People in a group, and people that a rate is over, below which nothing is said.
LEAST_GROUP, LEAST_RATE = 30, 10
#: Bootstrap resamples of fairlearn, and lots drawn for ``chance``.
RESAMPLES, LOTS = 200, 2000
#: Groups that can be told apart in a table.
MOST_GROUPS = 20
SELECTION, TPR, FPR, ACCURACY = "selection_rate", "true_positive_rate", "false_positive_rate", "accuracy"


@dataclass(frozen=True, slots=True)
class Rate:
    """A share from 0 to 1 with its 95 % bootstrap interval, over ``n`` people; ``None`` where that says nothing."""

    n: int
    value: float | None = None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class Group:
    """One group. ``suppressed``: fewer than 30 people, so that only ``n`` is given."""

    name: str
    n: int
    suppressed: bool
    rates: Mapping[str, Rate]


@dataclass(frozen=True, slots=True)
class Gap:
    """The largest difference between two shown groups, with a 95 % bootstrap interval, and the ``metric`` that has it.

    ``chance``: share of random regroupings that differ at least as much; small means that chance is no explanation.
    """

    metric: str
    value: float
    low: float
    high: float
    chance: float


@dataclass(frozen=True, slots=True)
class Attributed:
    """Mean contribution of a feature in a shown group, with its 95 % bootstrap interval."""

    group: str
    feature: str
    mean: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Fairness:
    """All over the ``n`` people of shown groups. ``parity``: demographic parity difference; ``parity_ratio``: smallest
    over largest selection rate, ``None`` when nobody is selected; ``odds``: equalised odds difference, ``None`` without
    true labels or where a group has too few of one label.
    """

    n: int
    groups: tuple[Group, ...]
    overall: Mapping[str, Rate]
    parity: Gap
    parity_ratio: float | None
    odds: Gap | None
    contributions: tuple[Attributed, ...]


def measure(
    groups: Sequence[str],
    scores: Sequence[float],
    *,
    threshold: float,
    favourable: Literal["higher", "lower"] = "higher",
    labels: Sequence[int] | None = None,
    phi: Floats | None = None,
    features: Sequence[str] = (),
    seed: int = 0,
) -> Fairness:
    """Fairness of the decision «score at or above ``threshold``» (below it, when ``favourable`` is lower).

    ``groups``, ``scores``, ``labels`` (1: the favourable outcome was right, 0: it was not) and ``phi`` (rows, features)
    are about the same people in the same order.

    Raises:
        CannotSay: more than 20 groups (``fairness.groups``), fewer than two of 30 people (``fairness.too_few``, with
            ``sizes``), a score that is no finite number (``fairness.score``), a label that is not 0 or 1
            (``fairness.label``).
    """
    names, sizes = np.unique(np.asarray(groups, dtype=str), return_counts=True)
    if len(names) > MOST_GROUPS:
        raise CannotSay("fairness.groups", count=len(names), most=MOST_GROUPS)
    shown = [str(name) for name, size in zip(names, sizes, strict=True) if size >= LEAST_GROUP]
    if len(shown) < 2:
        raise CannotSay("fairness.too_few", sizes=dict(zip(names.tolist(), sizes.tolist(), strict=True)))
    if not np.isfinite(scores).all():
        raise CannotSay("fairness.score")
    if labels is not None and not set(labels) <= {0, 1}:
        raise CannotSay("fairness.label")
    keep = np.isin(np.asarray(groups, dtype=str), shown)
    of = np.asarray(groups, dtype=str)[keep]
    score = np.asarray(scores, dtype=np.float64)[keep]
    chosen = score >= threshold if favourable == "higher" else score < threshold
    truth = None if labels is None else np.asarray(labels)[keep].astype(bool)
    frame, counts = _frame(of, chosen, truth, seed), _counts(of, shown, truth)
    return Fairness(
        n=len(of),
        groups=tuple(_group(str(name), int(size), frame, counts) for name, size in zip(names, sizes, strict=True)),
        overall={metric: _overall(frame, metric, counts) for metric in frame.overall.index},
        parity=_gap(frame, [SELECTION], of, chosen, truth, seed),
        parity_ratio=_ratio(frame),
        odds=_odds(frame, counts, of, chosen, truth, seed),
        contributions=() if phi is None else _contributions(of, shown, phi[keep], features, seed),
    )


Counts = dict[str, dict[str, int]]


def _frame(of: npt.NDArray[Any], chosen: Bools, truth: Bools | None, seed: int) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of fairlearn's own making: deprecations of pandas and scikit-learn
        from fairlearn.metrics import MetricFrame, false_positive_rate, selection_rate, true_positive_rate
        from sklearn.metrics import accuracy_score

        metrics: dict[str, Callable[..., float]] = {SELECTION: selection_rate}
        if truth is not None:
            metrics[TPR] = true_positive_rate
            metrics[FPR] = false_positive_rate
            metrics[ACCURACY] = accuracy_score
        return MetricFrame(
            metrics=metrics,
            y_true=(chosen if truth is None else truth).astype(int),
            y_pred=chosen.astype(int),
            sensitive_features=of,
            n_boot=RESAMPLES,
            ci_quantiles=[0.025, 0.975],
            random_state=seed % 2**32,
        )


def _counts(of: npt.NDArray[Any], shown: Sequence[str], truth: Bools | None) -> Counts:
    """How many people each rate of each group is over."""
    found: Counts = {}
    for name in shown:
        inside = of == name
        n = int(inside.sum())
        positives = n if truth is None else int(truth[inside].sum())
        found[name] = {SELECTION: n, ACCURACY: n, TPR: positives, FPR: n - positives}
    return found


def _group(name: str, size: int, frame: Any, counts: Counts) -> Group:
    if name not in counts:
        return Group(name, size, suppressed=True, rates={})
    low, high = frame.by_group_ci
    rates = {
        metric: _rate(counts[name][metric], *(table.loc[name, metric] for table in (frame.by_group, low, high)))
        for metric in frame.overall.index
    }
    return Group(name, size, suppressed=False, rates=rates)


def _rate(n: int, value: float, low: float, high: float) -> Rate:
    if n < LEAST_RATE or not np.isfinite([value, low, high]).all():
        return Rate(n)
    return Rate(n, float(value), float(low), float(high))


def _overall(frame: Any, metric: str, counts: Counts) -> Rate:
    low, high = frame.overall_ci
    return _rate(sum(each[metric] for each in counts.values()), frame.overall[metric], low[metric], high[metric])


def _ratio(frame: Any) -> float | None:
    rates = frame.by_group[SELECTION]
    return float(rates.min() / rates.max()) if rates.max() > 0 else None


def _odds(
    frame: Any, counts: Counts, of: npt.NDArray[Any], chosen: Bools, truth: Bools | None, seed: int
) -> Gap | None:
    if truth is None or min(min(each[TPR], each[FPR]) for each in counts.values()) < LEAST_RATE:
        return None
    return _gap(frame, [TPR, FPR], of, chosen, truth, seed)


def _gap(
    frame: Any, metrics: Sequence[str], of: npt.NDArray[Any], chosen: Bools, truth: Bools | None, seed: int
) -> Gap:
    """The largest difference between groups in any of ``metrics``."""
    low, high = frame.difference_ci(method="between_groups")
    differences = frame.difference(method="between_groups")[list(metrics)]
    metric, value = str(differences.idxmax()), float(differences.max())
    rng = np.random.default_rng([seed, len(of)])
    codes = np.unique(of, return_inverse=True)[1]
    lots = [_difference(metrics, rng.permutation(codes), chosen, truth) for _ in range(LOTS)]
    as_much = sum(drawn >= value - 1e-12 for drawn in lots)
    # the groups as they are count as one of the lots, so that this is never zero (Phipson & Smyth 2010)
    chance = (as_much + 1) / (LOTS + 1)
    return Gap(metric, value, float(low[metric]), float(high[metric]), chance)


def _difference(metrics: Sequence[str], codes: npt.NDArray[np.intp], chosen: Bools, truth: Bools | None) -> float:
    among = {SELECTION: np.ones(len(codes), dtype=bool)}
    if truth is not None:
        among |= {TPR: truth, FPR: ~truth}
    found = [0.0]
    for metric in metrics:
        people = np.bincount(codes[among[metric]], minlength=int(codes.max()) + 1)
        selected = np.bincount(codes[among[metric] & chosen], minlength=len(people))
        rates = selected[people > 0] / people[people > 0]
        found.append(float(np.ptp(rates)) if len(rates) else 0.0)
    return max(found)


def _contributions(
    of: npt.NDArray[Any], shown: Sequence[str], phi: Floats, features: Sequence[str], seed: int
) -> tuple[Attributed, ...]:
    found = []
    for name in shown:
        made = mean_interval(phi[of == name], seed=seed)
        for j, feature in enumerate(features):
            found.append(Attributed(name, feature, float(made.mean[j]), float(made.low[j]), float(made.high[j])))
    return tuple(found)
