"""A few rows that are asked at the start, at each checkpoint and at the end: the same model must answer all three."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from explain.serving import probe
from explain.serving.protocol import ServingClient, Table, WrongAnswer
from explain.serving.scoring import choose


def answers(client: ServingClient, table: Table, report: Mapping[str, Any], *, output: int | None) -> list[float]:
    """What the canary rows of ``table`` get now, in the wire format of the probe's ``report``.

    Raises a ``ServingError`` when there is no usable answer.
    """
    got = choose(client.send(probe.canary_rows(table), wire=report["wire"]), output)
    return [float(value) for value in got]


def unchanged(was: Sequence[float], now: Sequence[float]) -> bool:
    """Whether both are the same up to what the probe allows between two answers to one row."""
    before, after = np.array(was), np.array(now)
    if before.shape != after.shape or not np.isfinite(after).all():
        return False
    allowed = probe.TOLERANCE * max(1.0, float(np.abs(before).max(initial=0.0)))
    return bool(np.abs(after - before).max(initial=0.0) <= allowed)


def still(client: ServingClient, table: Table, report: Mapping[str, Any], *, output: int | None) -> bool:
    """Whether the canary rows get the answers of the probe; a wrong answer is another model's too."""
    try:
        return unchanged(report["canaries"], answers(client, table, report, output=output))
    except WrongAnswer:
        return False
