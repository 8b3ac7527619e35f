"""Every row as one line that climbs from the base value to its prediction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from explain.methods.codes import Floats
from explain.methods.figures.parts import REST, SHOWN, TEXT, cut, drawn_rows, layout, narrow_axis, safe

#: Lines of one colour are one trace: two hundred traces take a browser 140 ms, ten take 10.
_COLOURS = 8


def decision(
    names: Sequence[str],
    phi: Floats,
    *,
    base: float,
    chosen: int | None,
    unit: str,
    rest_label: str,
    seed: int,
) -> Any:
    """Cumulative contributions, least important feature at the bottom; every line ends at the row's prediction.

    ``phi``: (rows, features). ``chosen``: the row that is drawn strongly. Features beyond ``SHOWN`` are one step.
    """
    order = np.argsort(-np.abs(phi).mean(axis=0), kind="stable")
    shown, rest = (order, order[:0]) if len(order) <= SHOWN else (order[: SHOWN - 1], order[SHOWN - 1 :])
    kept = drawn_rows(len(phi), len(shown) + 2, seed=seed)
    if chosen is not None and chosen not in kept:
        kept = np.sort(np.r_[kept[:-1], chosen])
    steps = phi[:, shown]
    labels = [safe(names[j]) for j in shown]
    if rest.size:
        steps = np.c_[steps, phi[:, rest].sum(axis=1)]
        labels.append(safe(rest_label))
    # from the bottom: the last line of the figure is the first step
    ends = base + np.cumsum(np.c_[np.zeros(len(steps)), steps[:, ::-1]], axis=1)
    # line i of the axis is the step of label i: it begins half a line below and ends half a line above
    heights = np.r_[np.arange(len(labels))[::-1] + 0.5, -0.5]
    data = [*_bundles(ends[kept], heights)]
    if chosen is not None:
        data.append(_line(ends[[chosen]], heights, TEXT, width=2.6, opacity=1.0))
    made = layout(labels, unit, top=12, step=34)
    made["shapes"] = [_upright(base)]
    made["yaxis"] |= {"range": [len(labels) - 0.5, -0.6], "showgrid": False}
    made["xaxis"] |= {"zeroline": False}
    # lines cross the whole figure: labels above them would be crossed as well
    less = {
        "xaxis": narrow_axis(unit),
        "yaxis": {"ticktext": [cut(label, 14) for label in labels], "tickfont": {"size": 11}},
    }
    return {"data": data, "layout": made, "narrow": less}


def _bundles(ends: Floats, heights: Floats) -> list[dict[str, Any]]:
    """The lines in a few traces, by prediction."""
    last = ends[:, -1]
    width = (last.max() - last.min()) or 1.0
    colour = np.minimum(((last - last.min()) / width * _COLOURS).astype(np.int64), _COLOURS - 1)
    found = []
    for which in np.unique(colour):
        made = _line(ends[colour == which], heights, "", width=1.2, opacity=0.55)
        # a line takes one colour and no scale: the page mixes it from the colours of the scale
        made["line"] |= {"color": f"scale:{which / (_COLOURS - 1):.3f}"}
        found.append(made)
    return found


def _line(ends: Floats, heights: Floats, colour: str, *, width: float, opacity: float) -> dict[str, Any]:
    gaps = np.c_[ends, np.full(len(ends), np.nan)]
    across = [None if np.isnan(value) else float(f"{value:.6g}") for value in gaps.ravel()]
    down = [*heights.tolist(), None] * len(ends)
    return {
        "type": "scatter",
        "mode": "lines",
        "x": across,
        "y": down,
        "connectgaps": False,
        "opacity": opacity,
        "line": {"color": colour, "width": width},
        "hovertemplate": "%{x:.4g}<extra></extra>",
    }


def _upright(x: float) -> dict[str, Any]:
    ends = {"type": "line", "xref": "x", "yref": "paper", "x0": x, "x1": x, "y0": 0, "y1": 1, "layer": "below"}
    return ends | {"line": {"color": REST, "width": 1, "dash": "dot"}}
