"""What something reached as one table: a row for each data set, run, version, signature, deployment and explanation."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from audit.exports.sheets import Cell
from governance.blast import BlastRadius, Window
from governance.policies.vocabulary import format_time
from registry.models import ModelVersion

COLUMNS = ["kind", "subject", "version", "environment", "tier", "perimeter", "regions", "log_regions", "countries"]
COLUMNS += ["people", "since", "until", "state", "person", "role", "decision", "path"]
_ARROW = " > "


def rows(found: BlastRadius) -> Iterator[list[Cell]]:
    """The table, in the order in which the page shows it."""
    for data_set, path in found.data_sets:
        people = " ".join(data_set.subjects) or ("unknown" if data_set.is_personal else "")
        yield _row(
            kind="data_set",
            subject=data_set.subject,
            regions=" ".join(data_set.regions) or "unknown",
            people=people,
            state=data_set.classification,
            path=_ARROW.join(path),
        )
    for run, path in found.runs:
        yield _row(kind="run", subject=run, path=_ARROW.join(path))
    for version, path in found.versions:
        yield _row(kind="version", subject=version.subject, version=version.label, path=_ARROW.join(path))
    for subject in found.unsaid:
        label = subject.removeprefix("version:")
        yield _row(kind="version", subject=subject, version=label, state="needs unknown", path=found.root)
    for window in found.windows:
        yield _window(window)
    for signature in found.signatures:
        row = signature.row
        yield _row(
            kind="sign_off",
            subject=row.subject,
            version=signature.version.removeprefix("version:"),
            environment=row.promotion.environment.slug,
            since=_moment(row.signed_at),
            state=row.meaning,
            person=signature.name,
            role=row.role,
        )
    for job in found.explanations:
        yield _row(
            kind="explanation",
            subject=job.subject,
            version=job.version.label,
            environment=job.endpoint.environment.slug,
            since=_moment(job.requested),
            until=_moment(job.ended),
            state=job.standing or job.state,
        )


def _window(window: Window) -> list[Cell]:
    row, place = window.deployment, window.deployment.environment
    version: ModelVersion = row.version
    return _row(
        kind="deployment",
        subject=row.subject,
        version=version.label,
        environment=place.slug,
        tier=place.tier,
        perimeter=place.perimeter,
        regions=" ".join(place.regions),
        log_regions=" ".join(place.log_sinks),
        countries=" ".join(window.countries),
        since=_moment(row.since),
        until=_moment(row.until),
        state="serving" if window.live else "ended",
        decision=row.decision_id,
        path=_ARROW.join(window.path),
    )


def _row(**cells: Cell) -> list[Cell]:
    return [cells.get(name, "") for name in COLUMNS]


def _moment(when: datetime | None) -> str:
    return format_time(when) if when else ""
