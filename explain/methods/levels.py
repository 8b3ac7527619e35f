"""How precise SHAP values have to be: tolerance and rounds of each level (section 5.2: measured error stays below)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Precision:
    """``tol``: half width of the 95 % interval over the largest contribution; ``least``, ``most``, ``likely``: rounds.

    ``likely`` is what the adult census needed on average; only estimates before the start use it.
    """

    tol: str
    least: int
    most: int
    likely: float


LEVELS = {
    "quick": Precision("0.1", 2, 8, 2.1),
    "standard": Precision("0.05", 2, 16, 3.0),
    "audit": Precision("0.02", 4, 32, 10.0),
}
