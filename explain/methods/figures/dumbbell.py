"""Two explanations beside each other: where each feature was, and where it is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from explain.methods.figures.parts import LOWERS, QUIET, RAISES, REST, SHOWN, layout, narrow, safe


def dumbbell(
    names: Sequence[str], before: Sequence[float], after: Sequence[float], *, sides: tuple[str, str], unit: str
) -> Any:
    """Mean |contribution| of each feature on both sides, joined by a line; the largest of both on top.

    ``sides``: what the two are called.
    """
    order = sorted(range(len(names)), key=lambda j: -max(before[j], after[j]))[:SHOWN]
    labels = [safe(names[j]) for j in order]
    lines = list(range(len(order)))
    joined: list[float | None] = [value for j in order for value in (before[j], after[j], None)]
    bars = {
        "type": "scatter",
        "mode": "lines",
        "x": joined,
        "y": [place for line in lines for place in (line, line, None)],
        "line": {"color": REST, "width": 3},
        "hoverinfo": "skip",
        "showlegend": False,
    }
    ends = [
        {
            "type": "scatter",
            "mode": "markers",
            "name": safe(name),
            "x": [values[j] for j in order],
            "y": lines,
            "marker": {"size": 12, "color": colour, "symbol": symbol, "line": {"width": 1, "color": "token:surface"}},
            "customdata": labels,
            "hovertemplate": "%{customdata}: %{x:.3g}<extra>" + safe(name) + "</extra>",
            "showlegend": True,
        }
        for name, values, colour, symbol in (
            (sides[0], before, LOWERS, "diamond"),
            (sides[1], after, RAISES, "circle"),
        )
    ]
    made = layout(labels, unit, top=40)
    most = max((max(before[j], after[j]) for j in order), default=0.0) or 1.0
    made["xaxis"] |= {"range": [-0.02 * most, most * 1.06]}
    made["showlegend"] = True
    made["legend"] = {
        "orientation": "h",
        "x": 0,
        "xanchor": "left",
        "y": 1,
        "yanchor": "bottom",
        "font": {"color": QUIET, "size": 12},
        "itemclick": False,
        "itemdoubleclick": False,
    }
    return {"data": [bars, *ends], "layout": made, "narrow": narrow(labels, unit, top=40)}
