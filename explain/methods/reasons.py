"""The principal reasons of one adverse decision, from its contributions.

The rules are those of Regulation B (12 CFR 1002.9(b)(2) and its official comment 9(b)(2)): reasons are specific and are
those that really counted; more than four are unlikely to help; no principal factor may be left out. Only features that
pushed toward the adverse side, on the scale on which the decision was made, are reasons. What cannot be told apart is
shown as a tie. A protected attribute is never written into a text; because leaving out a principal factor is not
allowed either, such a row is held for a person. What a contribution is measured against is the background, for credit
the approved applicants, and its name and version are part of every answer.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Literal

import numpy as np

from explain.methods.groups import grouping
from explain.methods.pairperm import Z95
from explain.methods.quality import RowResult, additive
from explain.methods.refused import CannotSay

Side = Literal["higher", "lower"]
#: Where a row's value lies against the baseline: numbers below or above its mean, anything else.
Direction = Literal["below", "above", "other"]
#: Comment 9(b)(2)-1: more than four reasons are not likely to be helpful.
MOST = 4


@dataclass(frozen=True, slots=True)
class Baseline:
    """Against whom: the ``name`` and ``version`` of the chosen background, its rows' ``digest``, and the mean of each
    numeric column over it.
    """

    name: str
    version: str
    digest: str
    means: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Rules:
    """How reasons are made. ``adverse``: which side of the output is worse for the person. ``scale``: that of the
    decision. ``threshold``: the output at which it turns, or ``None`` when every given row was decided adversely.
    ``templates``: feature -> direction -> text, in which ``{value}`` becomes the row's value.
    """

    adverse: Side
    scale: str
    baseline: Baseline
    threshold: float | None = None
    protected: frozenset[str] = frozenset()
    groups: Mapping[str, Sequence[str]] = field(default_factory=dict)
    templates: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    most: int = MOST


@dataclass(frozen=True, slots=True)
class Reason:
    """One reason. ``rank`` counts from 1 and is shared by ties; ``share`` of all adverse contributions, 0 to 1.

    ``text`` is empty when no template fits: then nobody has written down yet what a person would be told.
    """

    feature: str
    rank: int
    tied: bool
    phi: float
    se: float
    share: float
    direction: Direction
    text: str


@dataclass(frozen=True, slots=True)
class Flag:
    """A protected attribute that pushed toward the adverse side. ``rank`` counts from 1, 0 when its 95 % interval
    includes zero. ``principal``: it would have been among the reasons.
    """

    feature: str
    rank: int
    phi: float
    se: float
    principal: bool


@dataclass(frozen=True, slots=True)
class Reasons:
    """The reasons of a row, most important first.

    ``tied_out``: features that tie with the last reason and found no place. ``unsure``: adverse ones whose 95 %
    interval includes zero. ``flags``: protected attributes. ``held``: a person has to look before anything is sent.
    """

    row_id: str
    reasons: tuple[Reason, ...]
    tied_out: tuple[str, ...]
    unsure: tuple[str, ...]
    flags: tuple[Flag, ...]
    held: bool
    baseline: Baseline


def reason_codes(row: RowResult, *, method: str, scale: str, cells: Mapping[str, Any], rules: Rules) -> Reasons:
    """The reasons of ``row``, whose contributions follow the order of ``cells`` (column -> value).

    Raises:
        CannotSay: LIME, which is no account of the decision (``reasons.lime``); a row without result
            (``reasons.row_failed``), not finite (``reasons.not_finite``), not additive (``reasons.not_additive``), not
            converged (``reasons.not_converged``); contributions on another scale than the decision's
            (``reasons.scale``); a decision that was not adverse (``reasons.not_adverse``); and what ``grouping`` says.
    """
    _usable(row, method=method, scale=scale, rules=rules)
    made = grouping(list(cells), rules.groups)
    sign = 1.0 if rules.adverse == "higher" else -1.0
    phi = made.contributions(np.asarray(row.phi, dtype=np.float64))
    se = made.errors(np.asarray(row.se, dtype=np.float64))
    worse = sign * phi
    columns = list(cells)
    members = {name: [columns[j] for j in each] for name, each in zip(made.names, made.members, strict=True)}
    protected = {name for name, each in members.items() if rules.protected & {name, *each}}
    ranked = [int(j) for j in np.argsort(-worse, kind="stable") if worse[j] > 0]
    sure = [j for j in ranked if worse[j] > Z95 * se[j]]
    ranks, tied = _ranks([float(worse[j]) for j in sure], [float(se[j]) for j in sure])
    place = dict(zip(sure, zip(ranks, tied, strict=True), strict=True))
    flags = []
    for j in (j for j in ranked if made.names[j] in protected):
        rank, _tie = place.get(j, (0, False))
        flags.append(Flag(made.names[j], rank, float(phi[j]), float(se[j]), 0 < rank <= rules.most))
    open_ = [j for j in sure if made.names[j] not in protected]
    total = float(sum(worse[j] for j in ranked)) or 1.0
    reasons = []
    for j in open_[: rules.most]:
        name, (rank, tie) = made.names[j], place[j]
        direction = _direction(members[name], cells, rules.baseline)
        text = _text(rules, name, direction, cells)
        reasons.append(Reason(name, rank, tie, float(phi[j]), float(se[j]), worse[j] / total, direction, text))
    last = reasons[-1].rank if reasons else 0
    return Reasons(
        row_id=row.row_id,
        reasons=tuple(reasons),
        tied_out=tuple(made.names[j] for j in open_[rules.most :] if place[j][0] == last),
        unsure=tuple(made.names[j] for j in ranked if j not in place and made.names[j] not in protected),
        flags=tuple(flags),
        held=any(flag.principal for flag in flags) or not reasons or any(not each.text for each in reasons),
        baseline=rules.baseline,
    )


def _usable(row: RowResult, *, method: str, scale: str, rules: Rules) -> None:
    if method == "lime":
        raise CannotSay("reasons.lime")
    if row.problem or row.fx is None or row.base is None or row.residual is None:
        raise CannotSay("reasons.row_failed", row=row.row_id)
    if not np.isfinite([*row.phi, *row.se, row.base, row.fx, row.residual]).all():
        raise CannotSay("reasons.not_finite", row=row.row_id)
    if not additive(row.residual, row.fx):
        raise CannotSay("reasons.not_additive", row=row.row_id)
    if not row.converged:
        raise CannotSay("reasons.not_converged", row=row.row_id)
    if scale != rules.scale:
        raise CannotSay("reasons.scale", scale=scale, decision=rules.scale)
    if rules.threshold is None:
        return
    adverse = row.fx >= rules.threshold if rules.adverse == "higher" else row.fx < rules.threshold
    if not adverse:
        raise CannotSay("reasons.not_adverse", row=row.row_id, fx=row.fx, threshold=rules.threshold)


def _ranks(size: Sequence[float], se: Sequence[float]) -> tuple[list[int], list[bool]]:
    """Ranks from 1 of descending sizes, and which are ties: a gap within 1.96 joint standard errors is none."""
    gaps = [one[0] - two[0] > Z95 * math.hypot(one[1], two[1]) for one, two in pairwise(zip(size, se, strict=True))]
    ranks = [1] * bool(size)
    for k, gap in enumerate(gaps, start=2):
        ranks.append(k if gap else ranks[-1])
    return ranks, [ranks.count(rank) > 1 for rank in ranks]


def _direction(members: Sequence[str], cells: Mapping[str, Any], baseline: Baseline) -> Direction:
    """A group has no direction, nor has a value that is missing, no number, or exactly the baseline's mean."""
    value = cells[members[0]] if len(members) == 1 else None
    if value is None or isinstance(value, bool | str) or members[0] not in baseline.means:
        return "other"
    mean = baseline.means[members[0]]
    if value == mean:
        return "other"
    return "above" if value > mean else "below"


def _text(rules: Rules, name: str, direction: Direction, cells: Mapping[str, Any]) -> str:
    texts = rules.templates.get(name, {})
    text = texts.get(direction) or texts.get("other", "")
    value = cells.get(name)
    # not str.format: a template is data, and a format string can read attributes of what it is given
    return text.replace("{value}", "–" if value is None else f"{value:g}" if isinstance(value, float) else str(value))
