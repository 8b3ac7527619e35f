"""The reference's reading of what shows something: evidence and explanations, in plain Python."""

from __future__ import annotations

from datetime import datetime, timedelta

from governance.policies import EvidenceFact
from tests.governance.policies.dice import Throw


def shown(case: Throw, kind: str, *, open_end: bool = False, here: bool = False, independent: bool = False) -> bool:
    """A piece of that kind is in force for exactly these files, in this place; ``here``: made for no other place,
    ``open_end``: it need not end, ``independent``: nobody recorded it who trained the version."""
    files = case.version.digest
    return bool(files) and any(
        one.type == kind
        and one.status == "active"
        and one.subject == case.version.subject
        and one.artifact_digest == files
        and (one.environment == case.environment.slug or (one.environment == "" and not here))
        and one.issued_at <= case.now
        and (open_end if one.expires_at is None else one.expires_at > case.now)
        and not (independent and not by_somebody_else(one, case))
        for one in case.evidence
    )


def by_somebody_else(one: EvidenceFact, case: Throw) -> bool:
    """A person recorded it who had no part in the training, which is known."""
    trained = case.version.trained_by
    return one.issued_by[:5] == "user:" and bool(trained) and one.issued_by not in trained


def explained(case: Throw, **asked: object) -> bool:
    """An explanation of exactly these files counts as evidence, is fresh, and is as ``asked``: of a ``method``, with so
    many ``rows``, ``recent`` (stable, repeatable, of the last half year), or made ``here``."""
    return bool(case.version.digest) and any(
        one.standing == "evidence"
        and one.subject == case.version.subject
        and one.version_digest == case.version.digest
        and not one.stale
        and one.method == asked.get("method", one.method)
        and one.rows >= int(str(asked.get("rows", 0)))
        and (not asked.get("recent") or (one.stable and not one.erased and _recent(one.finished_at, case.now)))
        and (not asked.get("here") or one.environment == case.environment.slug)
        for one in case.explanations
    )


def _recent(at: datetime, now: datetime) -> bool:
    return timedelta() <= now - at < timedelta(days=180)
