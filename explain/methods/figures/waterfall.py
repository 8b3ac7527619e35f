"""One row: how its features lead from the base value to the prediction."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import Any

from explain.methods.figures.parts import (
    LOWERS,
    QUIET,
    RAISES,
    REST,
    SHOWN,
    TEXT,
    decimals,
    layout,
    narrow,
    safe,
    short,
    signed,
)
from explain.methods.pairperm import Z95

#: What the digits beyond a bar need of the width, on a screen and on a telephone.
_DIGITS, _NARROW_DIGITS = 0.12, 0.34


def waterfall(
    names: Sequence[str],
    values: Sequence[Any],
    phi: Sequence[float],
    se: Sequence[float],
    *,
    base: float,
    total: float,
    base_label: str,
    total_label: str,
    rest_label: str,
    unit: str,
) -> Any:
    """One row from the base value to its prediction, each step with the 95 % interval of its contribution.

    There is no bar for base and total: Plotly draws those from zero and they would dwarf the steps. They are the two
    vertical lines. ``values``: None for a feature that has no single value of its own (a group) as well as for a
    missing one.
    """
    labels, steps, errors = _steps(names, values, phi, se, rest_label)
    ends = list(accumulate(steps, initial=base))
    reach = [
        *ends,
        total,
        *(end + error * side for end, error in zip(ends[1:], errors, strict=True) for side in (-1, 1)),
    ]
    left, right = min(reach), max(reach)
    room = (right - left) or max(abs(base), 1e-9)
    made = layout(labels, unit, top=48)
    # the line of the prediction ends at the first bar's side of the plot, that of the base value at the other
    marks = {
        "shapes": [_line(base), _line(total)],
        "annotations": [
            _note(base, safe(base_label), total, y=1.0, outwards=True),
            _note(total, safe(total_label), base, y=1.0, outwards=True, strong=True),
        ],
    }
    made |= marks
    made["xaxis"] |= {"range": [left - _DIGITS * room, right + _DIGITS * room], "zeroline": False}
    less = narrow(labels, unit, top=48)
    less["xaxis"] |= {"range": [left - _NARROW_DIGITS * room, right + _NARROW_DIGITS * room]}
    less["annotations"] = [
        _note(base, safe(base_label), total, y=1.0, outwards=False, line=1),
        _note(total, safe(total_label), base, y=1.0, outwards=False, strong=True),
    ]
    data = [_fall(labels, steps, base), _whiskers(steps, errors, base), _figures(ends, steps, errors)]
    return {"data": data, "layout": made, "narrow": less}


def _steps(
    names: Sequence[str], values: Sequence[Any], phi: Sequence[float], se: Sequence[float], rest_label: str
) -> tuple[list[str], list[float], list[float]]:
    """Labels, contributions and half-widths of the steps, largest first; what is not shown is one step."""
    order = sorted(range(len(names)), key=lambda j: -abs(phi[j]))
    shown, rest = (order, []) if len(order) <= SHOWN else (order[: SHOWN - 1], order[SHOWN - 1 :])
    labels = [f"{safe(names[j])} = {safe(short(values[j]))}" for j in shown]
    steps, errors = [phi[j] for j in shown], [Z95 * se[j] for j in shown]
    if rest:
        labels.append(safe(rest_label))
        steps.append(sum(phi[j] for j in rest))
        # contributions of one row are estimated from the same walks: adding the errors is the safe side
        errors.append(sum(Z95 * se[j] for j in rest))
    return labels, steps, errors


def _fall(labels: Sequence[str], steps: Sequence[float], base: float) -> dict[str, Any]:
    return {
        "type": "waterfall",
        "orientation": "h",
        "base": base,
        "measure": ["relative"] * len(steps),
        "x": steps,
        "y": list(range(len(steps))),
        "width": 0.56,
        "increasing": {"marker": {"color": RAISES}},
        "decreasing": {"marker": {"color": LOWERS}},
        "connector": {"line": {"color": REST, "width": 1}},
        "text": [f"{step:+.3g}" for step in steps],
        "textposition": "none",
        "customdata": labels,
        "hovertemplate": "%{customdata}: %{text}<extra></extra>",
    }


def _whiskers(steps: Sequence[float], errors: Sequence[float], base: float) -> dict[str, Any]:
    """The 95 % interval of each step, around its end."""
    return {
        "type": "scatter",
        "mode": "markers",
        "x": list(accumulate(steps, initial=base))[1:],
        "y": list(range(len(steps))),
        "marker": {"size": 1, "color": TEXT},
        "error_x": {"type": "data", "array": errors, "color": TEXT, "thickness": 1.2, "width": 4},
        "hoverinfo": "skip",
    }


def _figures(ends: Sequence[float], steps: Sequence[float], errors: Sequence[float]) -> dict[str, Any]:
    """Each contribution in digits, beyond its bar and whisker on the side to which the bar points."""
    raises = [step >= 0 for step in steps]
    places = [
        max(before, after + error) if up else min(before, after - error)
        for (before, after), error, up in zip(pairwise(ends), errors, raises, strict=True)
    ]
    digits = decimals(steps)
    return {
        "type": "scatter",
        "mode": "text",
        "x": places,
        "y": list(range(len(steps))),
        "text": [f"  {signed(step, digits)}  " for step in steps],
        "textposition": ["middle right" if up else "middle left" for up in raises],
        "textfont": {"color": QUIET, "size": 12},
        "hoverinfo": "skip",
        "cliponaxis": False,
    }


def _line(x: float) -> dict[str, Any]:
    return {
        "type": "line",
        "xref": "x",
        "yref": "paper",
        "x0": x,
        "x1": x,
        "y0": 0,
        "y1": 1,
        "line": {"color": REST, "width": 1, "dash": "dot"},
        "layer": "below",
    }


def _note(
    x: float, text: str, other: float, *, y: float, outwards: bool, strong: bool = False, line: int = 0
) -> dict[str, Any]:
    """A label above its line; ``outwards``: on the side away from the ``other`` line, so that the two never meet."""
    anchor = ("left" if x > other else "right") if outwards else "center"
    return {
        "x": x,
        "y": y,
        "xref": "x",
        "yref": "paper",
        "text": text,
        "showarrow": False,
        "xanchor": anchor,
        "yanchor": "bottom",
        "yshift": 4 + 18 * line,
        # no <b>: Plotly would make a style attribute of it, which the page's policy refuses
        "font": {"color": TEXT, "size": 12, "weight": 700 if strong else 400},
    }
