"""Every row as one mark on the line of each feature."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from explain.methods.codes import Floats
from explain.methods.figures.parts import (
    REST,
    SHOWN,
    VALUES,
    colour_key,
    drawn_rows,
    layout,
    narrow,
    ordered,
    safe,
    short,
    spread,
)

#: Marks that would lie closer than this share of the figure's width are put beside each other.
_BINS = 110
#: Half of the height that a swarm may take of its line, and the step between two marks where there is room.
_REACH, _STEP = 0.36, 0.055


def beeswarm(
    names: Sequence[str],
    columns: Sequence[Sequence[Any]],
    phi: Floats,
    ids: Sequence[str],
    *,
    unit: str,
    words: tuple[str, str, str],
    seed: int,
) -> Any:
    """One mark for each row and feature: where it lies is its contribution, its colour the feature's value.

    ``columns``: the cells of each feature; empty for one that has no values of its own. ``phi``: (rows, features).
    ``words``: for the lowest and the highest colour, and what they are of. Text and missing values have no order: grey.
    """
    order = np.argsort(-np.abs(phi).mean(axis=0), kind="stable")[:SHOWN]
    kept = drawn_rows(len(phi), len(order), seed=seed)
    sizes = phi[np.ix_(kept, order)]
    tones = np.full(sizes.shape, np.nan)
    for place, j in enumerate(order):
        if columns[j]:
            tones[:, place] = spread(ordered(columns[j]))[kept]
    across = sizes.T.ravel()
    lines = np.repeat(np.arange(len(order)), len(kept))
    down = lines + _beside(across, lines)
    texts = [
        f"{safe(names[j])} = {safe(short(columns[j][row]))} · {safe(ids[row])}"
        if columns[j]
        else f"{safe(names[j])} · {safe(ids[row])}"
        for j in order
        for row in kept
    ]
    labels = [safe(names[j]) for j in order]
    tone = tones.T.ravel()
    grey, data = np.isnan(tone), []
    if grey.any():
        data.append(_marks(across[grey], down[grey], texts, np.flatnonzero(grey)) | {"marker": _looks(REST)})
    if not grey.all():
        scale = {"color": np.round(tone[~grey], 3).tolist(), "cmin": 0, "cmax": 1, "colorscale": VALUES}
        data.append(_marks(across[~grey], down[~grey], texts, np.flatnonzero(~grey)) | {"marker": _looks(None) | scale})
    made = layout(labels, unit, top=56, step=34)
    if not grey.all():
        made |= colour_key(*words)
    made["yaxis"] |= {"showgrid": True, "gridcolor": "token:line"}
    return {"data": data, "layout": made, "narrow": narrow(labels, unit, top=56, step=60, above=0.36)}


def _marks(across: Floats, down: Floats, texts: Sequence[str], which: npt.NDArray[np.intp]) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "markers",
        "x": [float(f"{value:.6g}") for value in across],
        "y": np.round(down, 3).tolist(),
        "text": [texts[i] for i in which],
        "hovertemplate": "%{text}<br>%{x:+.3g}<extra></extra>",
    }


def _looks(colour: str | None) -> dict[str, Any]:
    return {"size": 6, "opacity": 0.85, "line": {"width": 0}} | ({} if colour is None else {"color": colour})


def _beside(across: Floats, lines: npt.NDArray[np.intp]) -> Floats:
    """Offsets that part marks of one bin of one line: 0, +1, -1, +2 ... steps, all within ``_REACH``."""
    if not across.size:
        return across
    width = (across.max() - across.min()) or 1.0
    bins = np.floor((across - across.min()) / width * (_BINS - 1)).astype(np.int64)
    group = lines * _BINS + bins
    order = np.lexsort((across, group))
    starts = np.r_[0, np.flatnonzero(np.diff(group[order])) + 1]
    within = np.arange(len(group)) - np.repeat(starts, np.diff(np.r_[starts, len(group)]))
    steps = np.empty(len(group))
    steps[order] = np.where(within % 2 == 1, (within + 1) // 2, -(within // 2))
    most = np.zeros(lines.max() + 1)
    np.maximum.at(most, lines, np.abs(steps))
    step = np.minimum(_STEP, _REACH / np.maximum(most, 1.0))
    return np.asarray(steps * step[lines], dtype=np.float64)
