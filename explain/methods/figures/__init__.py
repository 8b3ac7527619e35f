"""Plotly figures as plain JSON: plotly's own module (seconds, 100 MB) is not imported for them.

A colour is written ``token:<name>``: ``static/js/figures.js`` puts in the theme's colour, so that dark mode and print
work. Each figure is ``{"data": [...], "layout": {...}, "narrow": {...}}``; ``narrow`` is what a telephone changes of
the layout. Every scatter is SVG: WebGL is missing in many offices, and there are at most ``MOST_POINTS`` marks.
"""

from __future__ import annotations

from explain.methods.figures.bars import bars
from explain.methods.figures.beeswarm import beeswarm
from explain.methods.figures.decision import decision
from explain.methods.figures.dependence import companion, dependence
from explain.methods.figures.dumbbell import dumbbell
from explain.methods.figures.parts import MOST_POINTS, NO_VALUE, SHOWN, drawn_rows
from explain.methods.figures.waterfall import waterfall

__all__ = [
    "MOST_POINTS",
    "NO_VALUE",
    "SHOWN",
    "bars",
    "beeswarm",
    "companion",
    "decision",
    "dependence",
    "drawn_rows",
    "dumbbell",
    "waterfall",
]
