"""What the figures share: colours, labels, axes, and how many marks there may be."""

from __future__ import annotations

import html
import math
import textwrap
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from explain.methods.codes import Floats

#: Features shown one by one; the rest is one bar, or is left out.
SHOWN = 12
#: Marks of one figure: more take a browser seconds to draw as SVG.
MOST_POINTS = 5_000

RAISES, LOWERS, REST, TEXT, QUIET = "token:up", "token:down", "token:line-strong", "token:text", "token:text-2"
SURFACE = "token:surface"
#: From the lowest to the highest value of a feature.
VALUES = [[0.0, "token:low"], [0.5, "token:mid"], [1.0, "token:high"]]
#: Steps of the key to the scale.
_SHADES = 24
#: For categories, which have no order.
KINDS = ["token:up", "token:down", "token:high", "token:positive", "token:neutral", "token:low"]


def drawn_rows(rows: int, marks_per_row: int, *, seed: int) -> npt.NDArray[np.intp]:
    """Positions of the rows that are drawn: all, or the same random ones for the same ``seed`` and number of rows."""
    most = max(MOST_POINTS // max(marks_per_row, 1), 1)
    if rows <= most:
        return np.arange(rows)
    return np.sort(np.random.default_rng([seed, rows]).choice(rows, most, replace=False))


def safe(text: str) -> str:
    """Plotly reads a small HTML in labels; what comes from data is text."""
    return html.escape(text, quote=False)


def cut(text: str, most: int = 28) -> str:
    """``text`` with an ellipsis where it would be longer than ``most`` characters."""
    return text if len(text) <= most else text[: most - 1] + "…"


def short(value: Any) -> str:
    """A cell as a label shows it."""
    if value is None:
        return "—"
    return f"{value:.6g}" if isinstance(value, float) else cut(str(value))


def ordered(values: Sequence[Any]) -> Floats:
    """Numbers of a column's cells, NaN where there is none; all NaN for a column of text."""
    if any(isinstance(value, str) for value in values):
        return np.full(len(values), np.nan)
    return np.array([np.nan if value is None else float(value) for value in values], dtype=np.float64)


def spread(values: Floats) -> Floats:
    """0 to 1 between the 5th and the 95th percentile, so that one outlier does not take all colours; NaN stays."""
    known = values[np.isfinite(values)]
    if not known.size:
        return np.full(len(values), np.nan)
    low, high = np.percentile(known, [5, 95])
    if high <= low:
        low, high = known.min(), known.max()
    if high <= low:
        return np.where(np.isfinite(values), 0.5, np.nan)
    return np.asarray(np.clip((values - low) / (high - low), 0.0, 1.0), dtype=np.float64)


def layout(labels: Sequence[str], unit: str, *, top: int = 8, step: int = 30) -> dict[str, Any]:
    """A figure with one line for each of ``labels`` from the top down, and ``unit`` below its axis of values."""
    return base_layout(unit, height=64 + top + step * len(labels), top=top) | {
        "yaxis": {
            "tickvals": list(range(len(labels))),
            "ticktext": list(labels),
            "range": [len(labels) - 0.5, -0.5],
            "automargin": True,
            "showgrid": False,
            "zeroline": False,
            "fixedrange": True,
            "ticklen": 6,
            "tickcolor": "rgba(0,0,0,0)",
        },
    }


def base_layout(unit: str, *, height: int, top: int) -> dict[str, Any]:
    """Grounds, fonts, margins, and the axis of values."""
    return {
        "height": height,
        "showlegend": False,
        "margin": {"l": 8, "r": 20, "t": top, "b": 52, "pad": 0},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"color": TEXT, "size": 12.5},
        "hoverlabel": {"bgcolor": SURFACE, "bordercolor": REST, "font": {"color": TEXT, "size": 12.5}, "align": "left"},
        "hovermode": "closest",
        "dragmode": False,
        "xaxis": axis(unit) | {"automargin": True, "zeroline": True},
    }


def axis(title: str) -> dict[str, Any]:
    """A measured axis with a quiet grid."""
    return {
        "title": {"text": safe(title), "standoff": 12, "font": {"color": QUIET, "size": 12.5}},
        "gridcolor": "token:line",
        "gridwidth": 1,
        "zerolinecolor": REST,
        "zerolinewidth": 1,
        "tickfont": {"color": QUIET, "size": 12},
        "nticks": 7,
        "fixedrange": True,
    }


def narrow(labels: Sequence[str], unit: str, *, top: int = 8, step: int = 46, above: float = 0.3) -> dict[str, Any]:
    """On a telephone labels stand above their lines, where they take no width from the marks.

    ``above``: how far above the middle of its line a label ends, in lines.
    """
    notes = [
        {
            "x": 0,
            "xref": "paper",
            "xanchor": "left",
            "xshift": -4,
            "y": place - above,
            "yref": "y",
            "yanchor": "bottom",
            "text": label,
            "showarrow": False,
            "font": {"color": TEXT, "size": 12},
        }
        for place, label in enumerate(labels)
    ]
    return {
        "height": 84 + top + step * len(labels),
        "labels": notes,
        "xaxis": narrow_axis(unit),
        "yaxis": {"showticklabels": False, "range": [len(labels) - 0.5, -0.5 - above]},
    }


def narrow_axis(unit: str) -> dict[str, Any]:
    """Few ticks, and a title in as many lines as it needs."""
    words = "<br>".join(safe(line) for line in textwrap.wrap(unit, 38))
    return {"nticks": 4, "title": {"text": words, "font": {"color": QUIET, "size": 12}, "standoff": 12}}


def decimals(values: Iterable[float]) -> int:
    """Decimals with which the largest of ``values`` has three digits: all are written with as many."""
    largest = max((abs(value) for value in values), default=0.0)
    return min(max(2 - math.floor(math.log10(largest)), 0), 12) if largest > 0 else 0


def signed(value: float, places: int) -> str:
    """``+0.052``, ``−0.004``, ``±0``: with the sign that typesetters use."""
    text = f"{abs(value):.{places}f}"
    return "±0" if float(text) == 0 else ("−" if value < 0 else "+") + text


def colour_key(low: str, high: str, title: str) -> dict[str, Any]:
    """Shapes and notes above the plot that say what the colours are.

    Plotly's own scale writes an (empty) style attribute, which the page's policy refuses.
    """
    left, width = 0.55, 0.45 / _SHADES
    shapes = [
        {
            "type": "rect",
            "xref": "paper",
            "yref": "paper",
            "x0": left + i * width,
            # a little below the next one: browsers leave a seam between edges that meet
            "x1": min(left + (i + 1.5) * width, 1.0),
            "ysizemode": "pixel",
            "yanchor": 1,
            "y0": 20,
            "y1": 28,
            "fillcolor": f"scale:{i / (_SHADES - 1):.3f}",
            "line": {"width": 0},
        }
        for i in range(_SHADES)
    ]
    notes = [_key(low, left, "left", 1), _key(high, 1.0, "right", 1), _key(title, left + 0.225, "center", 30)]
    return {"shapes": shapes, "annotations": notes}


def _key(text: str, x: float, anchor: str, shift: int) -> dict[str, Any]:
    return {
        "text": safe(text),
        "x": x,
        "xref": "paper",
        "xanchor": anchor,
        "y": 1,
        "yref": "paper",
        "yanchor": "bottom",
        "yshift": shift,
        "showarrow": False,
        "font": {"color": QUIET, "size": 12},
    }
