"""What a gate reads of finished explanations: plain values, one statement for any number of versions."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection

from explain.models import Scale
from explain.staleness import why_stale

#: The newest of each method and standing: a quick look that ends as a draft takes nothing away from evidence. One that
#: a re-run contradicts is not among them.
_NEWEST = """
    SELECT DISTINCT ON (j.version_id, j.method, j.standing)
        j.id, j.version_id, j.digest, v.digest, j.method, coalesce(j.receipt ->> 'algorithm', j.method),
        coalesce(j.settings ->> 'level', ''), coalesce(j.output ->> 'scale', ''), j.standing, j.ended, n.slug,
        j.receipt_digest, j.receipt -> 'endpoint', j.receipt -> 'faults', coalesce((j.receipt ->> 'rows')::int, 0),
        j.background_count,
        (SELECT count(*) FROM explain_explanationinput i WHERE i.job_id = j.id AND i.background AND i.body IS NOT NULL),
        EXISTS (SELECT 1 FROM explain_explanationinput i WHERE i.job_id = j.id AND i.body IS NULL),
        e.name, e.url, e.protocol, e.options, e.output
    FROM explain_explanationjob j
    JOIN registry_modelversion v ON v.id = j.version_id
    JOIN registry_endpoint e ON e.id = j.endpoint_id
    JOIN registry_environment n ON n.id = e.environment_id
    WHERE j.version_id = ANY(%s) AND j.state = 'finished' AND NOT EXISTS (
        SELECT 1 FROM explain_explanationjob again WHERE again.repeats_id = j.id AND again.state = 'finished'
        AND again.receipt #>> '{agreement,holds}' IS DISTINCT FROM 'true'
    )
    ORDER BY j.version_id, j.method, j.standing, j.id DESC
"""
#: Faults of a receipt that say that another run would say something else.
_UNSTABLE = frozenset({"not_converged", "unstable", "disagrees"})


@dataclass(frozen=True, slots=True)
class Explained:
    """One finished explanation. ``digest`` is of the files that were explained; ``stale``: codes of
    ``explain.staleness``; ``stable``: every row reached its tolerance, or its seeds agree; ``erased``: rows of it are
    gone, so that nobody can run it again; ``receipt``: the digest of its receipt.
    """

    id: str
    version_id: int
    digest: str
    method: str
    algorithm: str
    level: str
    scale: str
    standing: str
    stale: tuple[str, ...]
    stable: bool
    erased: bool
    rows: int
    background: int
    finished_at: datetime
    environment: str
    receipt: str


def newest(version_ids: Iterable[int]) -> list[Explained]:
    """The newest finished explanation of each version by each method, as evidence and as a draft. One query."""
    with connection.cursor() as cursor:
        cursor.execute(_NEWEST, [sorted(set(version_ids))])
        return [_explained(row) for row in cursor.fetchall()]


def _explained(row: tuple[Any, ...]) -> Explained:
    number, version_id, digest, digest_now, method, algorithm, level, scale, standing, ended, slug, receipt = row[:12]
    asked, faults, rows, background, kept, gone, name, url, protocol, options, output = row[12:]
    now = {
        "subject": f"endpoint:{name}",
        "url": url,
        "protocol": protocol,
        "options": _json(options),
        "contract": _json(output),
    }
    return Explained(
        id=f"explanation:{number}",
        version_id=version_id,
        digest=digest,
        method=method,
        algorithm=algorithm,
        level=level,
        scale=scale if scale in Scale.values else Scale.RAW.value,
        standing=standing,
        stale=why_stale(
            digest=digest,
            digest_now=digest_now,
            background_lost=background > 0 and kept != background,
            asked=_json(asked),
            asked_now=now,
        ),
        stable=faults is not None and not _UNSTABLE & set(_json(faults)),
        erased=gone,
        rows=rows,
        background=background,
        finished_at=ended,
        environment=slug,
        receipt=receipt,
    )


def _json(value: Any) -> Any:
    """jsonb as Django's connection gives it: text, unless an upper layer decoded it already."""
    return json.loads(value) if isinstance(value, str) else value
