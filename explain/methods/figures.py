"""Plotly figures as plain JSON: plotly's own module (seconds, 100 MB) is not imported for them.

A colour is written ``token:<name>``: ``static/js/figures.js`` puts in the theme's colour, so that dark mode and print
work.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from itertools import accumulate
from typing import Any

from explain.methods.pairperm import Z95

#: Features shown one by one; the rest is one bar.
SHOWN = 12

RAISES, LOWERS, REST, TEXT = "token:accent", "token:caution", "token:line-strong", "token:text"


def bars(names: Sequence[str], mean: Sequence[float], low: Sequence[float], high: Sequence[float], *, unit: str) -> Any:
    """Global importance: mean |contribution| with its 95 % interval, largest on top. ``unit`` titles the axis."""
    order = sorted(range(len(names)), key=lambda j: -mean[j])[:SHOWN]
    labels = [_safe(names[j]) for j in order]
    trace = {
        "type": "bar",
        "orientation": "h",
        "x": [mean[j] for j in order],
        "y": list(range(len(order))),
        "marker": {"color": RAISES},
        "error_x": {
            "type": "data",
            "symmetric": False,
            "array": [max(high[j] - mean[j], 0.0) for j in order],
            "arrayminus": [max(mean[j] - low[j], 0.0) for j in order],
            "color": TEXT,
            "thickness": 1.2,
            "width": 4,
        },
        "customdata": labels,
        "hovertemplate": "%{customdata}: %{x:.4g}<extra></extra>",
    }
    return {"data": [trace], "layout": _layout(labels, unit, top=8)}


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
    vertical lines.
    """
    labels, steps, errors = _steps(names, values, phi, se, rest_label)
    layout = _layout(labels, unit)
    layout["shapes"] = [_line(base), _line(total)]
    layout["annotations"] = [_note(base, _safe(base_label), 1.0), _note(total, _safe(total_label), 1.07)]
    return {"data": [_fall(labels, steps, base), _whiskers(steps, errors, base)], "layout": layout}


def _steps(
    names: Sequence[str], values: Sequence[Any], phi: Sequence[float], se: Sequence[float], rest_label: str
) -> tuple[list[str], list[float], list[float]]:
    """Labels, contributions and half-widths of the steps, largest first; what is not shown is one step."""
    order = sorted(range(len(names)), key=lambda j: -abs(phi[j]))
    shown, rest = (order, []) if len(order) <= SHOWN else (order[: SHOWN - 1], order[SHOWN - 1 :])
    labels = [f"{_safe(names[j])} = {_safe(_short(values[j]))}" for j in shown]
    steps, errors = [phi[j] for j in shown], [Z95 * se[j] for j in shown]
    if rest:
        labels.append(_safe(rest_label))
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


def _layout(labels: Sequence[str], unit: str, *, top: int = 56) -> dict[str, Any]:
    return {
        "height": 60 + top + 30 * len(labels),
        "showlegend": False,
        "margin": {"l": 10, "r": 24, "t": top, "b": 48},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"color": TEXT, "size": 12},
        "xaxis": {
            "title": {"text": _safe(unit)},
            "automargin": True,
            "gridcolor": "token:line",
            "zerolinecolor": REST,
            "fixedrange": True,
        },
        "yaxis": {
            "tickvals": list(range(len(labels))),
            "ticktext": list(labels),
            "range": [len(labels) - 0.5, -0.5],
            "automargin": True,
            "showgrid": False,
            "zeroline": False,
            "fixedrange": True,
        },
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
    }


def _note(x: float, text: str, y: float) -> dict[str, Any]:
    return {
        "x": x,
        "y": y,
        "xref": "x",
        "yref": "paper",
        "text": text,
        "showarrow": False,
        "yanchor": "bottom",
        "font": {"color": TEXT, "size": 11},
    }


def _safe(text: str) -> str:
    """Plotly reads a small HTML in labels; what comes from data is text."""
    return html.escape(text, quote=False)


def _short(value: Any) -> str:
    if value is None:
        return "—"
    if isinstance(value, float):
        return f"{value:.6g}"
    text = str(value)
    return text if len(text) <= 28 else text[:27] + "…"
