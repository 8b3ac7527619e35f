"""Whether two runs of one question agree: identical, or within the error that both state."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from explain.methods.quality import RowResult

#: Standard errors of the difference that may lie between two honest runs (one in 10,000 values lies beyond by chance).
LARGEST_Z = 3.9
#: What rounding may do where no error is stated, relative to max(1, |f(x)|).
ROUNDING = 1e-6


@dataclass(frozen=True, slots=True)
class Agreement:
    """``rows`` compared, ``agree`` of them within the stated error; ``largest``: the largest difference of a value, in
    units of the output; ``identical``: every bit is the same.
    """

    rows: int
    agree: int
    largest: float
    identical: bool

    @property
    def holds(self) -> bool:
        """Whether every row agrees, and there is one."""
        return 0 < self.rows == self.agree

    def as_json(self) -> dict[str, Any]:
        """For the receipt."""
        return {**asdict(self), "holds": self.holds}


def agreement(first: Sequence[RowResult], second: Sequence[RowResult]) -> Agreement:
    """Compare results row by row, by their ids. A row that only one run explained does not agree."""
    others = {row.row_id: row for row in second}
    agree, largest, identical = 0, 0.0, len(first) == len(second)
    for row in first:
        other = others.get(row.row_id)
        if other is None or row.problem or other.problem or len(row.phi) != len(other.phi):
            identical = identical and other == row
            agree += bool(other is not None and row.problem and row.problem == other.problem)
            continue
        off = np.abs(np.array(row.phi) - np.array(other.phi))
        allowed = LARGEST_Z * np.hypot(row.se, other.se) + ROUNDING * max(1.0, abs(row.fx or 0.0))
        same_fx = abs((row.fx or 0.0) - (other.fx or 0.0)) <= ROUNDING * max(1.0, abs(row.fx or 0.0))
        agree += bool((off <= allowed).all() and same_fx)
        largest = max(largest, float(off.max(initial=0.0)))
        identical = identical and row == other
    return Agreement(rows=len(first), agree=agree, largest=largest, identical=identical)
