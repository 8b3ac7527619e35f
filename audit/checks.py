"""Storing what a verification found, so that every page can say it."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
from django.conf import settings
from django.db import connection
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from audit import posture
from audit.all_logs import LogResult, Survey, verify_all
from audit.log import log_id
from audit.queries import fetch, stale_after
from audit.signer import SignerUnavailable
from audit.signer_protocol import SignerClient, read_secret
from audit.verification import Step

logger = logging.getLogger(__name__)

#: What a person reads for each step of a verification, in the order of the checklist.
_TITLES: dict[str, Promise] = {
    "keys": gettext_lazy("The keys are those that the log announced"),
    "entries": gettext_lazy("Every entry was hashed and is shown as it was recorded"),
    "private": gettext_lazy("Private values fit their commitments"),
    "tiles": gettext_lazy("The tree was computed again, tile by tile"),
    "checkpoints": gettext_lazy("Every checkpoint is signed and fits the tree"),
    "signer": gettext_lazy("The signer remembers the same tree"),
    "outside": gettext_lazy("Checkpoints kept outside fit the tree"),
    "witnesses": gettext_lazy("Witnesses cosigned the same tree"),
    "timestamps": gettext_lazy("Timestamps of an authority hold"),
    "completeness": gettext_lazy("Every governed row has its entry"),
    "posture": gettext_lazy("Nobody was given more power over the log"),
}

#: A result is about every log, whichever was the newest then.
_NEWEST = """
    SELECT source, outcome, size, root, finding, steps, started_at, finished_at FROM audit.self_check
    ORDER BY id DESC LIMIT 1
"""
#: What the name of the step about a whole log begins with.
_LOG = "log:"


@dataclass(frozen=True, slots=True)
class StoredCheck:
    """What the Verify page shows; ``steps`` are dicts with name, title, state, detail and findings. Times in UTC."""

    source: str
    outcome: str
    size: int
    root: str
    finding: str
    steps: list[dict[str, Any]]
    started_at: datetime
    finished_at: datetime

    @property
    def state(self) -> str:
        """The outcome as it counts now: what was verified too long ago, or in the future, is ``unknown``."""
        current = timedelta() <= datetime.now(UTC) - self.finished_at <= stale_after()
        return "unknown" if self.outcome == "verified" and not current else self.outcome

    @property
    def is_old(self) -> bool:
        """Whether it held, but too long ago to speak for the log."""
        return self.state != self.outcome


def signer_for_reading() -> SignerClient | None:
    """The signer without the secret: enough to ask for its head. None when its address cannot be read."""
    try:
        return SignerClient(settings.SIGNER_ADDRESS, None)
    except SignerUnavailable:
        return None


def signer_for_writing() -> SignerClient:
    """The signer of the newest log with the secret that the sequencer and operators share.

    Raises ``SignerUnavailable`` for whoever cannot read the secret.
    """
    return SignerClient(settings.SIGNER_ADDRESS, read_secret(Path(settings.SIGNER_SECRET_FILE)))


def self_check() -> str:
    """Verify every log and store the result; returns the outcome. A failure to verify is stored as unknown."""
    started = datetime.now(UTC)
    try:
        survey = verify_all(signer_for_reading())
    except psycopg.Error as error:
        _store("self-check", "unknown", 0, "", _("The log could not be read: %s") % error, [], started)
        return "unknown"
    record(survey, source="self-check")
    return survey.outcome


def check_posture() -> list[str]:
    """Compare the database with the manifest when a process starts; deviations are logged and turn the log's state red.

    They do not stop the process: who widened a grant must not be able to stop the record as well. Returns them.
    """
    started = datetime.now(UTC)
    found = posture.findings(fetch)
    for finding in found:
        logger.critical("the database is not what the migrations made: %s", finding)
    last = newest()
    if found and not (last and last.outcome == "failed"):
        steps = [{"name": "posture", "state": "failed", "detail": "", "findings": found[:20]}]
        _store("self-check", "failed", 0, "", found[0], steps, started)
    return found


def record(survey: Survey, *, source: str) -> None:
    """Store what was found: the newest log's steps, then a line for each other log.

    ``source`` is ``self-check`` or ``operator``.
    """
    last = survey.newest
    verdict = last.verdict
    steps = [_stored(step.name, step) for step in (verdict.steps if verdict else ())]
    if last.step.findings:
        steps.append(_stored(_LOG + last.origin, last.step))
    steps += [_stored(_LOG + each.origin, _summary(each)) for each in reversed(survey.results) if each is not last]
    unknown = next((step["detail"] for step in steps if step["state"] == "unknown"), "")
    finding = survey.findings[0] if survey.findings else unknown
    size, root = (verdict.size, verdict.root.hex()) if verdict else (0, "")
    _store(source, survey.outcome, size, root, finding, steps, survey.started_at)


def _summary(result: LogResult) -> Step:
    """One line about a log that is not the newest."""
    verdict = result.verdict
    if verdict is None:
        return result.step
    said = _("%(n)s entries, root %(root)s") % {"n": f"{verdict.size:,}", "root": verdict.root.hex()}
    unclear = next((step.detail for step in verdict.steps if step.state == "unknown"), "")
    return Step("log", f"{said} · {unclear}" if unclear else said, result.findings, unknown=bool(unclear))


def _stored(name: str, step: Step) -> dict[str, Any]:
    return {"name": name, "state": step.state, "detail": step.detail, "findings": step.findings[:20]}


def newest() -> StoredCheck | None:
    """The newest result, or None before the first. One query."""
    rows = fetch(_NEWEST, [])
    if not rows:
        return None
    source, outcome, size, root, finding, steps, started_at, finished_at = rows[0]
    parsed = json.loads(steps) if isinstance(steps, str) else steps
    for step in parsed:
        step["title"] = _title(step["name"])
    return StoredCheck(source, outcome, size, root, finding, parsed, started_at, finished_at)


def _title(name: str) -> str:
    if name.startswith(_LOG):
        return _("The log %(name)s") % {"name": name.removeprefix(_LOG)}
    return str(_TITLES.get(name, name))


def _store(
    source: str, outcome: str, size: int, root: str, finding: str, steps: list[dict[str, Any]], started: datetime
) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO audit.self_check (log_id, source, outcome, size, root, finding, steps, started_at)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s::jsonb, %s)",
            [log_id(), source, outcome, size, root, finding[:2000], json.dumps(steps), started],
        )
