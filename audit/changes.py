"""What a change did: the values that differ, before and after. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def changed(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """``{"before": …, "after": …}`` with the keys whose values differ, for the facts of a change.

    A key that only one side has stands on that side alone.
    """
    differ = [key for key in {**before, **after} if before.get(key) != after.get(key)]
    return {
        "before": {key: before[key] for key in differ if key in before},
        "after": {key: after[key] for key in differ if key in after},
    }
