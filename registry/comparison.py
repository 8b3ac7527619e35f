"""Two versions beside each other, part by part. Pure: what is not known of either stays unknown in the result."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

#: Words in the names of metrics that say which way is better. A name with words of both kinds says nothing.
_MORE_IS_BETTER = frozenset(
    {"auc", "auroc", "roc", "gini", "ks", "accuracy", "precision", "recall", "f1", "r2", "sensitivity", "specificity"}
)
_LESS_IS_BETTER = frozenset(
    {"brier", "loss", "logloss", "rmse", "mse", "mae", "mape", "error", "ece", "gap", "latency", "drift", "psi"}
)


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric of two versions, as recorded, and the change with its sign: ``live`` is the one compared with.

    ``verdict`` is ``better``, ``worse``, ``unchanged``, or ``changed`` when nobody knows which way is better; empty
    without a change.
    """

    name: str
    live: str
    candidate: str
    change: str
    verdict: str


@dataclass(frozen=True, slots=True)
class Change:
    """One parameter, feature, data set or dependency that either version has.

    ``standing`` is ``added`` (only the version that is looked at has it), ``dropped`` (only the one that it is compared
    with), ``changed`` or ``same``; the two texts are empty where it is missing.
    """

    name: str
    before: str
    after: str
    standing: str


def compare_metrics(live: Mapping[str, Any], candidate: Mapping[str, Any]) -> list[Metric]:
    """Every metric of either version, by name."""
    found = []
    for name in sorted({*live, *candidate}):
        change = _change(live.get(name), candidate.get(name))
        before, after = str(live.get(name, "")), str(candidate.get(name, ""))
        found.append(Metric(name, before, after, change, verdict(name, change)))
    return found


def verdict(name: str, change: str) -> str:
    """What a change with its sign means for a metric of this name; see ``Metric``."""
    if not change:
        return ""
    if change.startswith("±"):
        return "unchanged"
    words = set(re.split(r"[^a-z0-9]+", name.lower()))
    more, less = bool(words & _MORE_IS_BETTER), bool(words & _LESS_IS_BETTER)
    if more == less:
        return "changed"
    return "better" if change.startswith("+") == more else "worse"


def _change(before: Any, after: Any) -> str:
    """``+0.005``; empty when one of them is missing or no number."""
    try:
        difference = Decimal(str(after)) - Decimal(str(before))
    except InvalidOperation:
        return ""
    if not difference.is_finite():
        return ""
    sign = "+" if difference > 0 else "−" if difference < 0 else "±"
    return f"{sign}{abs(difference):f}"


def compare_texts(before: Mapping[str, str], after: Mapping[str, str]) -> list[Change]:
    """Every name of either side, by name."""
    return [
        Change(name, before.get(name, ""), after.get(name, ""), _standing(name, before, after))
        for name in sorted({*before, *after})
    ]


def _standing(name: str, before: Mapping[str, str], after: Mapping[str, str]) -> str:
    if name not in before:
        return "added"
    if name not in after:
        return "dropped"
    return "same" if before[name] == after[name] else "changed"


def features_of(schema: Mapping[str, Any]) -> dict[str, str] | None:
    """Name and type of each input of a signature; None when the version has no signature.

    A tensor's signature has no names: its inputs are called by their place.
    """
    inputs = schema.get("inputs")
    if not isinstance(inputs, Sequence) or isinstance(inputs, str) or not inputs:
        return None
    named = [each for each in inputs if isinstance(each, Mapping)]
    return {str(each.get("name") or f"#{place}"): _type(each) for place, each in enumerate(named, start=1)}


def _type(given: Mapping[str, Any]) -> str:
    kind = given.get("type", "")
    if kind == "tensor" and isinstance(given.get("tensor-spec"), Mapping):
        spec = given["tensor-spec"]
        kind = f"tensor {spec.get('dtype', '')} {spec.get('shape', '')}".strip()
    return f"{kind}, optional" if given.get("required") is False else str(kind)
