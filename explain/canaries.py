"""A few background rows that are asked at the start, at each checkpoint and at the end: one model answers all three.

Rows of the background and not explained ones, and of nobody where there are such: what a canary row was answered stays
in the receipt, also after a person had theirs erased.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from explain.serving import probe
from explain.serving.protocol import ServingClient, ServingError, Table, WrongAnswer


class AnotherVersion(ServingError):  # noqa: N818
    """Another model answers than when the job began."""


@dataclass(frozen=True, slots=True)
class Canaries:
    """The canary rows of ``reference``, as the probe's ``report`` found them."""

    client: ServingClient
    ask: probe.Asker
    reference: Table
    report: Mapping[str, Any]

    def check(self) -> list[float]:
        """What they get now. Raises ``AnotherVersion``, which a wrong answer says too, or a ``ServingError``."""
        try:
            now = [float(value) for value in self.ask(probe.canary_rows(self.reference), self.report["wire"])]
        except WrongAnswer as error:
            raise AnotherVersion(error.sentence, code="version_changed") from error
        says, said = getattr(self.client, "model_version", ""), self.report.get("model_version", "")
        if says and said and says != said:
            raise AnotherVersion(f"The server says version {says} and said {said}.", code="version_changed")
        if not unchanged(self.report["canaries"], now):
            raise AnotherVersion("The canary rows get other answers.", code="version_changed")
        return now


def unchanged(was: Sequence[float], now: Sequence[float]) -> bool:
    """Whether both are the same up to what the probe allows between two answers to one row."""
    before, after = np.array(was), np.array(now)
    if before.shape != after.shape or not np.isfinite(after).all():
        return False
    allowed = probe.TOLERANCE * max(1.0, float(np.abs(before).max(initial=0.0)))
    return bool(np.abs(after - before).max(initial=0.0) <= allowed)
