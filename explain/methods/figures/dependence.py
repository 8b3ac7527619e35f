"""One feature: how its contribution depends on its value, and on that of another feature."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from explain.methods.codes import Floats
from explain.methods.figures.parts import (
    KINDS,
    QUIET,
    RAISES,
    VALUES,
    axis,
    base_layout,
    colour_key,
    cut,
    drawn_rows,
    ordered,
    safe,
    short,
    spread,
)
from explain.methods.pairperm import Z95

#: Rows below which no other feature can be told from chance; stretches of values, and rows of one at least.
LEAST_ROWS, _STRETCHES, _LEAST_STRETCH = 20, 10, 10
#: Categories that are told apart by place, and by colour.
_PLACES, _TONES = 12, len(KINDS)


def companion(columns: Sequence[Sequence[Any]], feature: int, phi: Floats) -> int | None:
    """The other feature that goes with the contributions of ``feature`` most, where its own value is about the same.

    ``phi``: (rows,) contributions of ``feature``. The measure is the share of their variance that a line (numbers) or
    the means of the categories (text) explain, adjusted for chance, within stretches of rows of about the same value.
    None for too few rows or when nothing goes with it.
    """
    if len(phi) < LEAST_ROWS:
        return None
    order = np.argsort(_places(columns[feature]), kind="stable")
    stretches = np.array_split(order, min(max(len(order) // _LEAST_STRETCH, 1), _STRETCHES))
    strength = np.zeros(len(columns))
    for j, cells in enumerate(columns):
        if j == feature or not cells:
            continue
        other, named = _places(cells), any(isinstance(value, str) for value in cells)
        share = _means_share if named else _line_share
        strength[j] = sum(share(other[part], phi[part]) * len(part) for part in stretches)
    best = int(np.argmax(strength))
    return best if strength[best] > 0 else None


def _adjusted(share: float, rows: int, parameters: int) -> float:
    """An explained share of variance less what as many parameters explain by chance."""
    return max(1.0 - (1.0 - share) * (rows - 1) / (rows - parameters), 0.0) if rows > parameters else 0.0


def _line_share(one: Floats, two: Floats) -> float:
    known = np.isfinite(one)
    one, two = one[known], two[known]
    if len(one) < 3 or np.ptp(one) == 0 or np.ptp(two) == 0:
        return 0.0
    return _adjusted(float(np.corrcoef(one, two)[0, 1] ** 2), len(one), 2)


def _means_share(kinds: Floats, two: Floats) -> float:
    known = np.isfinite(kinds)
    _, place, counts = np.unique(kinds[known], return_inverse=True, return_counts=True)
    two = two[known]
    if len(counts) < 2 or np.ptp(two) == 0:
        return 0.0
    means = np.bincount(place, weights=two) / counts
    between = float((counts * (means - two.mean()) ** 2).sum() / ((two - two.mean()) ** 2).sum())
    return _adjusted(between, len(two), len(counts))


def _places(cells: Sequence[Any]) -> Floats:
    """Numbers as they are, categories by their place in the alphabet, nothing as NaN."""
    if not any(isinstance(value, str) for value in cells):
        return ordered(cells)
    names = {name: place for place, name in enumerate(sorted({str(value) for value in cells if value is not None}))}
    return np.array([np.nan if value is None else names[str(value)] for value in cells], dtype=np.float64)


def dependence(
    names: Sequence[str],
    columns: Sequence[Sequence[Any]],
    feature: int,
    phi: Floats,
    se: Floats,
    ids: Sequence[str],
    *,
    other: int | None,
    unit: str,
    seed: int,
) -> Any:
    """Contribution of ``feature`` over its value, whiskers of 95 %, coloured by the value of ``other``.

    ``phi``, ``se``: (rows,). Rows without a value are left out. Categories stand side by side, marks moved a little so
    that they do not hide each other (the same way each time).
    """
    cells = columns[feature]
    known = np.array([value is not None for value in cells], dtype=bool)
    kept = np.flatnonzero(known)[drawn_rows(int(known.sum()), 1, seed=seed)]
    values = [cells[row] for row in kept]
    made = base_layout(names[feature], height=380, top=48 if other is not None else 12)
    across, ticks = _across(values, seed)
    made["xaxis"] |= ticks | {"zeroline": False}
    made["yaxis"] = axis(unit) | {"automargin": True}
    shared = {"x": across, "y": phi[kept].tolist(), "error": (Z95 * se[kept]).tolist()}
    texts = [f"{safe(names[feature])} = {safe(short(cells[row]))} · {safe(ids[row])}" for row in kept]
    if other is not None:
        seen = [columns[other][row] for row in kept]
        texts = [
            f"{text}<br>{safe(names[other])} = {safe(short(value))}" for text, value in zip(texts, seen, strict=True)
        ]
        data, key = _toned(names[other], seen, shared, texts)
        made |= key
    else:
        data = [_marks(shared, texts, np.arange(len(kept)), {"color": RAISES})]
    less = {"height": 340, "xaxis": {"nticks": 4}, "yaxis": {"title": {"text": ""}}}
    return {"data": data, "layout": made, "narrow": less}


def _across(values: Sequence[Any], seed: int) -> tuple[list[float], dict[str, Any]]:
    """Where the values lie, and what the axis says there."""
    if not any(isinstance(value, str | bool) for value in values):
        return [float(value) for value in values], {}
    named = [str(value) for value in values]
    kinds, counts = np.unique(np.array(named), return_counts=True)
    first = [str(kind) for kind in kinds[np.argsort(-counts, kind="stable")][:_PLACES]]
    place = {kind: i for i, kind in enumerate(sorted(first))}
    ticks = [safe(cut(kind, 16)) for kind in sorted(first)]
    if len(kinds) > _PLACES:
        ticks.append("…")
    moved = np.random.default_rng([seed, len(values)]).uniform(-0.22, 0.22, len(values))
    across = [place.get(value, len(place)) + float(shift) for value, shift in zip(named, moved, strict=True)]
    whole = {"tickvals": list(range(len(ticks))), "ticktext": ticks, "range": [-0.6, len(ticks) - 0.4]}
    return across, whole | {"showgrid": False}


def _toned(
    name: str, seen: Sequence[Any], shared: dict[str, Any], texts: Sequence[str]
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Marks by colour, on a scale for numbers, one colour each for the commonest categories; and what says so."""
    if any(isinstance(value, str | bool) for value in seen):
        kinds, counts = np.unique(np.array([str(value) for value in seen]), return_counts=True)
        first = [str(kind) for kind in kinds[np.argsort(-counts, kind="stable")][:_TONES]]
        place = np.array([first.index(str(value)) if str(value) in first else _TONES - 1 for value in seen])
        data = [
            _marks(shared, texts, np.flatnonzero(place == i), {"color": KINDS[i]})
            | {"name": safe(cut(kind if i < _TONES - 1 or len(kinds) <= _TONES else "…", 20)), "showlegend": True}
            for i, kind in enumerate(first)
        ]
        return data, {"showlegend": True, "legend": _legend(name)}
    numbers = ordered(seen)
    tone = np.nan_to_num(spread(numbers), nan=0.5)
    known = numbers[np.isfinite(numbers)]
    ends = (f"{np.percentile(known, 5):.3g}", f"{np.percentile(known, 95):.3g}") if known.size else ("", "")
    scale = {"color": np.round(tone, 3).tolist(), "cmin": 0, "cmax": 1, "colorscale": VALUES}
    return [_marks(shared, texts, np.arange(len(seen)), scale)], colour_key(*ends, cut(name))


def _legend(name: str) -> dict[str, Any]:
    return {
        "orientation": "h",
        "x": 0,
        "xanchor": "left",
        "y": 1.02,
        "yanchor": "bottom",
        "font": {"color": QUIET, "size": 12},
        "title": {"text": safe(cut(name)), "font": {"color": QUIET, "size": 12}},
        "itemclick": False,
        "itemdoubleclick": False,
    }


def _marks(shared: dict[str, Any], texts: Sequence[str], which: Any, colour: dict[str, Any]) -> dict[str, Any]:
    def part(name: str) -> list[float]:
        return [shared[name][i] for i in which]

    return {
        "type": "scatter",
        "mode": "markers",
        "x": part("x"),
        "y": part("y"),
        "error_y": {"type": "data", "array": part("error"), "color": "token:line-strong", "thickness": 0.8, "width": 0},
        "marker": {"size": 7, "opacity": 0.9, "line": {"width": 0.5, "color": "token:surface"}} | colour,
        "text": [texts[i] for i in which],
        "hovertemplate": "%{text}<br>%{y:+.3g}<extra></extra>",
    }
