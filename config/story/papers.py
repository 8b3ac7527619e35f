"""Evidence of the story: what its people put on record about version 3 before anybody signs it."""

from __future__ import annotations

import json
from datetime import timedelta

from django.utils import timezone

from config.story.people import actor
from governance import evidence
from governance.transfers import digest_of_document
from registry.models import ModelVersion

VALID_FOR = timedelta(days=180)
INTENDED_USE = """Ranks applicants for unsecured consumer loans up to AED 50,000 in the UAE and Saudi Arabia.
Not for: mortgages, business loans, applicants under 21, setting a price. A person decides every refusal."""
MONITORING_PLAN = """Watched daily: approval rate by market, calibration on matured loans, share of missing inputs.
Approval rate more than a third off its month: the operator goes back to the version before, and opens an incident."""


def record_evidence(version: ModelVersion) -> None:
    """A report of what was measured on the hold-out, what the version is for, and how it is watched."""
    measured = {"version": version.subject, "digest": version.digest, "metrics": version.metrics}
    papers = (
        (
            "validation_report",
            "Hold-out of both markets, 1,600 applications",
            "layla",
            json.dumps(measured, default=str),
        ),
        ("intended_use", "What credit-scoring is for", "omar", INTENDED_USE),
        ("monitoring_plan", "What is watched, and what is done then", "layla", MONITORING_PLAN),
    )
    now = timezone.now()
    for kind, title, by, text in papers:
        paper = evidence.Paper(
            digest=digest_of_document(text.encode()),
            title=title,
            author=actor(by).name,
            issued_at=now,
            expires_at=now + VALID_FOR,
        )
        evidence.record(kind, version, paper, by=actor(by))
