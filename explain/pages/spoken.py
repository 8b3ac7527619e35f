"""What a figure shows, for those who hear it: the finding with its sizes, not how the figure is drawn."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from explain.methods.comparing import FeatureChange
from explain.methods.figures.parts import ordered, short
from explain.methods.pairperm import Z95
from explain.methods.quality import Importance
from explain.pages.shown import Shown

#: Features that are read out; the table has all.
_TOLD = 5
#: From this correlation on a value is said to raise or to lower.
_CLEAR = 0.5


def _listed(parts: Sequence[str], left: int) -> str:
    text = "; ".join(parts)
    if not left:
        return text + "."
    return text + ngettext("; and %(n)d more feature.", "; and %(n)d more features.", left) % {"n": left}


def importance(names: Sequence[str], made: Importance, order: Sequence[int]) -> str:
    """The largest features with their mean sizes."""
    told = [
        _("%(name)s %(mean)s (%(low)s to %(high)s)")
        % {"name": names[j], "mean": _size(made.mean[j]), "low": _size(made.low[j]), "high": _size(made.high[j])}
        for j in order[:_TOLD]
    ]
    return _("Largest mean contributions: %(list)s") % {"list": _listed(told, len(order) - len(told))}


def swarm(data: Shown, order: Sequence[int]) -> str:
    """How far the contributions of the largest features go, and which values raise the answer."""
    told = []
    for j in order[:_TOLD]:
        words = {"name": data.names[j], "low": _signed(data.phi[:, j].min()), "high": _signed(data.phi[:, j].max())}
        told.append((_("%(name)s from %(low)s to %(high)s") % words) + _direction(data, j))
    return _("Contributions over %(rows)d rows: %(list)s") % {
        "rows": len(data.ids),
        "list": _listed(told, len(order) - len(told)),
    }


def _direction(data: Shown, feature: int) -> str:
    """Whether high values raise or lower the answer; empty when they do neither clearly."""
    values = ordered(data.columns[feature]) if data.columns[feature] else np.full(len(data.ids), np.nan)
    known = np.isfinite(values)
    if known.sum() < 3 or np.ptp(values[known]) == 0 or np.ptp(data.phi[known, feature]) == 0:
        return ""
    one, two = (
        np.argsort(np.argsort(each, kind="stable")).astype(np.float64)
        for each in (values[known], data.phi[known, feature])
    )
    clear = float(np.corrcoef(one, two)[0, 1])
    if clear >= _CLEAR:
        return _(", higher values raise it")
    return _(", higher values lower it") if clear <= -_CLEAR else ""


def row(data: Shown, place: int, base_label: str, total_label: str) -> str:
    """The largest contributions of one row, with their intervals."""
    phi, se = data.phi[place], data.se[place]
    order = np.argsort(-np.abs(phi), kind="stable")
    told = [
        _("%(name)s %(size)s ± %(error)s")
        % {"name": _feature(data, place, int(j)), "size": _signed(phi[j]), "error": f"{Z95 * se[j]:.1g}"}
        for j in order[:_TOLD]
    ]
    words = {"base": base_label, "total": total_label, "list": _listed(told, len(order) - len(told))}
    return _("From %(base)s to %(total)s: %(list)s") % words


def told(data: Shown, place: int) -> str:
    """One row in a sentence: where its answer lies, what pushed it there, and what pulled the other way."""
    phi = data.phi[place]
    total = float(data.base[place] + phi.sum()) if data.lime else float(data.fx[place])
    words = {"fx": _size(total), "base": _size(data.base[place])}
    gap = total - float(data.base[place])
    order = [int(j) for j in np.argsort(-np.abs(phi), kind="stable") if phi[j] != 0][:_TOLD]
    pushes = [j for j in order if phi[j] * gap > 0][:3]
    against = [j for j in order if phi[j] * gap < 0][:1]
    if not pushes:
        return _("The answer is %(fx)s, the average %(base)s: nothing moves it far.") % words
    words["list"] = _(", ").join(f"{_feature(data, place, j)} ({_signed(phi[j])})" for j in pushes)
    if gap > 0:
        text = _("The answer is %(fx)s, above the average of %(base)s, mostly by %(list)s.") % words
    else:
        text = _("The answer is %(fx)s, below the average of %(base)s, mostly by %(list)s.") % words
    if against:
        pull = f"{_feature(data, place, against[0])} ({_signed(phi[against[0]])})"
        text += " " + _("%(feature)s pulls the other way.") % {"feature": pull}
    return text


def _feature(data: Shown, place: int, feature: int) -> str:
    if not data.columns[feature]:
        return data.names[feature]
    return f"{data.names[feature]} = {short(data.value(place, feature))}"


def dependence(data: Shown, feature: int, other: int | None) -> str:
    """Where the contributions of one feature go along its values."""
    cells, phi = data.columns[feature], data.phi[:, feature]
    name = data.names[feature]
    if any(isinstance(value, str | bool) for value in cells):
        kinds = sorted({str(value) for value in cells if value is not None})
        means = {kind: float(np.mean(phi[[str(value) == kind for value in cells]])) for kind in kinds}
        first = sorted(kinds, key=lambda kind: -abs(means[kind]))[:_TOLD]
        told = _listed([f"{kind} {_signed(means[kind])}" for kind in first], 0)
        text = _("Mean contribution of %(name)s by category: %(list)s") % {"name": name, "list": told}
    else:
        values = ordered(cells)
        known = np.flatnonzero(np.isfinite(values))
        text = _("%(name)s has no values to show.") % {"name": name}
        if known.size:
            inside = known[np.argsort(values[known], kind="stable")]
            ends = [inside[: max(len(inside) // 5, 1)], inside[-max(len(inside) // 5, 1) :]]
            text = _(
                "The lowest fifth of %(name)s (up to %(low)s) contributes %(first)s on average, the highest fifth "
                "(from %(high)s) %(last)s."
            ) % {
                "name": name,
                "low": f"{values[ends[0][-1]]:.4g}",
                "first": _signed(phi[ends[0]].mean()),
                "high": f"{values[ends[1][0]]:.4g}",
                "last": _signed(phi[ends[1]].mean()),
            }
    return text if other is None else text + " " + _("It goes with %(other)s.") % {"other": data.names[other]}


def decision(data: Shown, chosen: int | None) -> str:
    """Where the lines begin and end."""
    text = _("%(rows)d rows go from the average %(base)s to predictions from %(low)s to %(high)s.") % {
        "rows": len(data.ids),
        "base": _size(data.base[0]),
        "low": _size(data.fx.min()),
        "high": _size(data.fx.max()),
    }
    if chosen is None:
        return text
    words = {"id": data.ids[chosen], "fx": _size(data.fx[chosen])}
    return text + " " + _("Row %(id)s ends at %(fx)s.") % words


def _size(value: float) -> str:
    return f"{value:.3g}"


def _signed(value: float) -> str:
    return f"{value:+.3g}".replace("-", "−")


def changes(features: Sequence[FeatureChange]) -> str:
    """How the mean sizes of the largest features change."""
    told = [
        _("%(name)s from %(before)s to %(after)s")
        % {"name": each.name, "before": _size(each.champion), "after": _size(each.challenger)}
        for each in features[:_TOLD]
    ]
    return _("Mean contributions change: %(list)s") % {"list": _listed(told, len(features) - len(told))}
