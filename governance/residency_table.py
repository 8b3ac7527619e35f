"""The residency map as one table: a row for each flow, with the same words in page, API, CSV and command line."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from audit.exports.sheets import Cell
from governance.policies.vocabulary import format_time
from governance.residency import Flow, Residency

COLUMNS = ["state", "kind", "subject", "region", "claimed_region", "country", "perimeter", "classification", "people"]
COLUMNS += ["safeguards", "safeguard_until", "rules", "message", "remedy", "environments", "deployments", "denied"]


def rows(found: Residency) -> Iterator[list[Cell]]:
    """The table, the worst first. What could not be decided is a row too: of its flows nobody knows anything."""
    for row, sentence in found.undecided:
        told = {"state": "undecided", "subject": row.version.subject, "message": sentence}
        told |= {"environments": row.environment.slug, "deployments": row.subject, "denied": row.subject}
        yield [told.get(name, "") for name in COLUMNS]
    for flow in found.flows:
        cells = as_json(flow)
        yield [_cell(cells[name]) for name in COLUMNS]


def as_json(flow: Flow) -> dict[str, Any]:
    """One flow. ``region`` and ``country`` are null when nobody knows the place, ``perimeter`` when nobody knows the
    law; ``safeguard_until`` is the end of the first safeguard to end.
    """
    ends = sorted(cover.until for cover in flow.covers.values() if cover.until is not None)
    first = next(iter(flow.findings.values()), None)
    return {
        "state": flow.state,
        "kind": flow.kind,
        "subject": flow.subject,
        "region": flow.region or None,
        "claimed_region": flow.claimed or None,
        "country": flow.country or None,
        "perimeter": None if flow.perimeter == "unknown" else flow.perimeter,
        "classification": flow.classification,
        "people": list(flow.people),
        "safeguards": sorted(flow.covers),
        "safeguard_until": format_time(ends[0]) if ends else None,
        "rules": [f"{pack}/{rule}" if pack else rule for pack, rule in flow.findings],
        "message": str(first["message"]) if first else None,
        "remedy": str(first["remedy"]) if first else None,
        "environments": flow.environments,
        "deployments": [row.subject for row in flow.deployments],
        "denied": [row.subject for row in flow.against],
    }


def _cell(value: object) -> Cell:
    return " ".join(map(str, value)) if isinstance(value, list) else str(value or "")
