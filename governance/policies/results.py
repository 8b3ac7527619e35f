"""What a decision says: immutable values that turn into JSON without floats."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

Word = Literal["allow", "deny", "pending", "error"]
Outcome = Literal["pass", "fail", "error", "not_applicable"]
Severity = Literal["block", "warn", "inform"]


@dataclass(frozen=True, slots=True)
class PackRef:
    """Which text decided: ``digest`` is ``sha256:`` of the pack's UTF-8 text."""

    pack: str
    version: int
    digest: str
    status: str

    def as_json(self) -> dict[str, Any]:
        return {"pack": self.pack, "version": self.version, "digest": self.digest, "status": self.status}


class NearMiss(NamedTuple):
    """A safeguard that did not cover the subject, and the named conditions that it lacks."""

    id: str
    failed: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        return {"id": self.id, "failed": list(self.failed)}


class Finding(NamedTuple):
    """One rule on one subject. A tuple, because a decision about a large lineage makes hundreds of them.

    ``path`` leads from the version to the subject, both included. ``facts`` are those of the subject. ``failed`` names
    the ``require`` conditions that did not hold; with outcome ``error`` it names what could not be evaluated.
    ``waived_by`` is the safeguard that made a failed requirement lawful (outcome ``pass``), or the waiver by which two
    people let a failure pass for a time (outcome ``fail``). ``who`` are the roles that can supply what is
    missing, ``where`` is the page for it (a path relative to the site, or empty).
    """

    rule: str
    pack: str
    outcome: Outcome
    severity: Severity
    title: str
    cites: tuple[str, ...]
    subject: str
    path: tuple[str, ...]
    facts: Mapping[str, Any]
    failed: tuple[str, ...]
    closest: tuple[NearMiss, ...]
    waived_by: str
    message: str
    remedy: str
    who: tuple[str, ...]
    where: str

    @property
    def blocks(self) -> bool:
        """True when this finding alone forbids the action: an error blocks like a failure, and nothing waives it."""
        return self.severity == "block" and (self.outcome == "error" or (self.outcome == "fail" and not self.waived_by))

    def as_json(self) -> dict[str, Any]:
        return {
            "rule": self.rule,
            "pack": self.pack,
            "outcome": self.outcome,
            "severity": self.severity,
            "title": self.title,
            "cites": list(self.cites),
            "subject": self.subject,
            "path": list(self.path),
            "facts": dict(self.facts),
            "failed": list(self.failed),
            "closest": [near.as_json() for near in self.closest],
            "waived_by": self.waived_by,
            "message": self.message,
            "remedy": self.remedy,
            "who": list(self.who),
            "where": self.where,
        }


@dataclass(frozen=True, slots=True)
class Decision:
    """The verdict with everything that led to it.

    ``valid_until`` is RFC 3339 UTC, or empty when nothing that was relied on ends; a caller adds its own limit.
    ``not_applicable`` rules have a finding too (with the version as subject), so silence is never a pass.
    """

    word: Word
    summary: str
    findings: tuple[Finding, ...]
    policy: tuple[PackRef, ...]
    facts_digest: str
    engine: Mapping[str, str]
    valid_until: str = ""

    @property
    def allows(self) -> bool:
        """True for ``allow`` alone."""
        return self.word == "allow"

    @property
    def blocking(self) -> tuple[Finding, ...]:
        """Findings that forbid the action."""
        return tuple(finding for finding in self.findings if finding.blocks)

    def as_json(self) -> dict[str, Any]:
        return {
            "decision": self.word,
            "summary": self.summary,
            "findings": [finding.as_json() for finding in self.findings],
            "policy": [pack.as_json() for pack in self.policy],
            "facts_digest": self.facts_digest,
            "engine": dict(self.engine),
            "valid_until": self.valid_until,
        }
