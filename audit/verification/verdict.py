"""What a verification says: steps with their findings, and one outcome."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

#: Findings kept for each step; the first ones in the order of the log.
MAX_FINDINGS = 100


@dataclass
class Step:
    """One thing that was checked. ``state`` is passed, failed or unknown."""

    name: str
    detail: str
    findings: list[str] = field(default_factory=list)
    unknown: bool = False

    @property
    def state(self) -> str:
        """Failed beats unknown beats passed."""
        return "failed" if self.findings else "unknown" if self.unknown else "passed"

    def find(self, finding: str) -> None:
        """Keep a finding unless there are too many already."""
        if len(self.findings) < MAX_FINDINGS:
            self.findings.append(finding)


@dataclass(frozen=True)
class Verdict:
    """The result over a log of ``size`` entries with ``root``; times in UTC.

    ``not_read`` entries at the beginning were read by an earlier run that this one resumed, and not again.
    """

    size: int
    root: bytes
    steps: tuple[Step, ...]
    started_at: datetime
    finished_at: datetime
    not_read: int = 0

    @property
    def outcome(self) -> str:
        """``verified``, ``failed`` or ``unknown``."""
        states = {step.state for step in self.steps}
        return "failed" if "failed" in states else "unknown" if "unknown" in states else "verified"

    @property
    def findings(self) -> list[str]:
        """Every difference, the first one first."""
        return [finding for step in self.steps for finding in step.findings]
