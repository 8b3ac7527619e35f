"""Rows chosen by their predicted score, the same ones wherever and in whatever order the rows are given.

Choosing at random can miss the few rows with high scores, about which most questions are. Here the rows are sorted by
score and cut into slices of equal size, and every slice gives its share. Within a slice a hash of the seed and the row
decides, so that no random state and no order matters.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from explain.methods.refused import CannotSay

#: Slices of equal size by score.
STRATA = 10
#: Rows of the usual background and of the usual sample for a global explanation (section 6 of the design).
BACKGROUND, SAMPLE = 100, 200


@dataclass(frozen=True, slots=True)
class Sample:
    """Chosen rows: ``positions`` in the given rows, ascending by score; ``digest`` over their content in that order.

    ``taken``: how many each slice gave, lowest scores first. ``low`` and ``high``: the scores that are covered.
    """

    positions: tuple[int, ...]
    taken: tuple[int, ...]
    low: float
    high: float
    digest: str


def row_digest(cells: Sequence[Any]) -> str:
    """Hexadecimal SHA-256 of a row's types and exact values."""
    return hashlib.sha256(json.dumps([(type(cell).__name__, repr(cell)) for cell in cells]).encode()).hexdigest()


def stratified(
    rows: Sequence[Sequence[Any]], scores: Sequence[float], *, size: int, seed: int, strata: int = STRATA
) -> Sample:
    """Choose ``size`` of ``rows`` (sequences of cells), or all when there are fewer, by their ``scores``.

    Equal rows with equal scores may be chosen more than once: how often a row occurs is part of the distribution.

    Raises:
        CannotSay: no rows (``sample.empty``), a score that is no finite number (``sample.score`` with ``position``
            from 0), or a size below 1 (``sample.size``).
    """
    if len(rows) != len(scores):
        raise ValueError("every row has one score")
    if not rows:
        raise CannotSay("sample.empty")
    if size < 1:
        raise CannotSay("sample.size", size=size)
    wrong = next((i for i, score in enumerate(scores) if not math.isfinite(score)), None)
    if wrong is not None:
        raise CannotSay("sample.score", position=wrong)
    digests = [row_digest(row) for row in rows]
    lots = [hashlib.sha256(f"{seed}/{digest}".encode()).hexdigest() for digest in digests]
    order = sorted(range(len(rows)), key=lambda i: (scores[i], lots[i], i))
    slices = _slices(order, min(strata, size, len(rows)))
    shares = _shares(len(rows), min(size, len(rows)), [len(each) for each in slices])
    chosen = [
        i
        for each, share in zip(slices, shares, strict=True)
        for i in sorted(sorted(each, key=lambda i: (lots[i], i))[:share], key=lambda i: (scores[i], lots[i], i))
    ]
    whole = hashlib.sha256("\n".join(digests[i] for i in chosen).encode()).hexdigest()
    return Sample(tuple(chosen), tuple(shares), scores[chosen[0]], scores[chosen[-1]], f"sha256:{whole}")


def background(rows: Sequence[Sequence[Any]], scores: Sequence[float], *, seed: int, size: int = BACKGROUND) -> Sample:
    """The usual background: ``size`` rows that stand for all scores. Raises as ``stratified``."""
    return stratified(rows, scores, size=size, seed=seed)


def _slices(order: Sequence[int], count: int) -> list[list[int]]:
    edges = [len(order) * k // count for k in range(count + 1)]
    return [list(order[low:high]) for low, high in itertools.pairwise(edges)]


def _shares(rows: int, size: int, lengths: Sequence[int]) -> list[int]:
    """``size`` split in proportion to ``lengths``: whole parts first, then the largest remainders."""
    shares = [size * length // rows for length in lengths]
    by_remainder = sorted(range(len(lengths)), key=lambda k: (-(size * lengths[k] % rows), k))
    for k in by_remainder[: size - sum(shares)]:
        shares[k] += 1
    return shares
