"""Global importance: one bar for each feature."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from explain.methods.figures.parts import QUIET, RAISES, SHOWN, TEXT, decimals, layout, narrow, safe


def bars(names: Sequence[str], mean: Sequence[float], low: Sequence[float], high: Sequence[float], *, unit: str) -> Any:
    """Mean |contribution| of each feature with its 95 % interval, largest on top. ``unit`` titles the axis."""
    order = sorted(range(len(names)), key=lambda j: -mean[j])[:SHOWN]
    labels = [safe(names[j]) for j in order]
    lines = list(range(len(order)))
    trace = {
        "type": "bar",
        "orientation": "h",
        "x": [mean[j] for j in order],
        "y": lines,
        "width": 0.56,
        "marker": {"color": RAISES, "line": {"width": 0}},
        "error_x": {
            "type": "data",
            "symmetric": False,
            "array": [max(high[j] - mean[j], 0.0) for j in order],
            "arrayminus": [max(mean[j] - low[j], 0.0) for j in order],
            "color": TEXT,
            "thickness": 1.2,
            "width": 4,
        },
        "customdata": [[labels[i], low[j], high[j]] for i, j in enumerate(order)],
        "hovertemplate": "%{customdata[0]}: %{x:.3g}<br>%{customdata[1]:.3g} – %{customdata[2]:.3g}<extra></extra>",
    }
    places = decimals(mean)
    figures = {
        "type": "scatter",
        "mode": "text",
        "x": [max(high[j], mean[j]) for j in order],
        "y": lines,
        "text": [f"  {mean[j]:.{places}f}" for j in order],
        "textposition": "middle right",
        "textfont": {"color": QUIET, "size": 12},
        "hoverinfo": "skip",
        "cliponaxis": False,
    }
    most = max((max(high[j], mean[j]) for j in order), default=0.0) or 1.0
    made = layout(labels, unit)
    made["xaxis"] |= {"range": [0, most * 1.12]}
    less = narrow(labels, unit)
    less["xaxis"] |= {"range": [0, most * 1.25]}
    return {"data": [trace, figures], "layout": made, "narrow": less}
