"""A few rows that are asked at the start, at each checkpoint and at the end: the same model must answer all three."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from explain.serving import probe
from explain.serving.limits import Limiter, Stopped, go_on
from explain.serving.protocol import ServingClient, ServingError, Table, WrongAnswer
from explain.serving.scoring import choose


class AnotherVersion(ServingError):  # noqa: N818
    """The server says that another version of the model answers."""


def answers(
    client: ServingClient,
    table: Table,
    report: Mapping[str, Any],
    *,
    output: int | None,
    limiter: Limiter,
    stopped: Stopped = go_on,
) -> list[float]:
    """What the canary rows of ``table`` get now, in the wire format of the probe's ``report``, within the limits.

    ``stopped`` raises to abandon a wait for a place.

    Raises ``AnotherVersion``, or a ``ServingError`` when there is no usable answer.
    """
    rows = probe.canary_rows(table)
    with limiter.slot(len(rows), stopped):
        got = choose(client.send(rows, wire=report["wire"]), output)
    says, said = getattr(client, "model_version", ""), report.get("model_version", "")
    if says and said and says != said:
        raise AnotherVersion(f"The server says version {says} and said {said}.", code="version_changed")
    return [float(value) for value in got]


def unchanged(was: Sequence[float], now: Sequence[float]) -> bool:
    """Whether both are the same up to what the probe allows between two answers to one row."""
    before, after = np.array(was), np.array(now)
    if before.shape != after.shape or not np.isfinite(after).all():
        return False
    allowed = probe.TOLERANCE * max(1.0, float(np.abs(before).max(initial=0.0)))
    return bool(np.abs(after - before).max(initial=0.0) <= allowed)


def still(
    client: ServingClient,
    table: Table,
    report: Mapping[str, Any],
    *,
    output: int | None,
    limiter: Limiter,
    stopped: Stopped = go_on,
) -> bool:
    """Whether the canary rows get the answers of the probe; a wrong answer is another model's too."""
    try:
        now = answers(client, table, report, output=output, limiter=limiter, stopped=stopped)
    except (WrongAnswer, AnotherVersion):
        return False
    return unchanged(report["canaries"], now)
