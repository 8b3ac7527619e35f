"""Evidence that analyses make: what is recorded, what is not, and when it goes again."""

from __future__ import annotations

from typing import Any

import pytest
from django.utils import timezone

from audit.actors import Actor
from explain.digests import digest
from explain.models import Analysis
from governance import analysed
from governance.models.evidence import Evidence, EvidenceType
from registry.models import Endpoint
from tests.explain import finishing
from tests.governance.scene import Bank
from tests.governance.test_explained import _no_broker, endpoint  # noqa: F401

BY = Actor.system("test")


def made(endpoint: Endpoint, kind: str = "fairness", *, labelled: bool = True, standing: str = "evidence") -> Analysis:  # noqa: F811
    job = finishing.finished(endpoint)
    second = None if kind == "fairness" else finishing.finished(endpoint)
    receipt: dict[str, Any] = {"result": digest({}), "n": job.pk}
    analysis = Analysis(
        kind=kind, first=job, second=second, parameters={"labelled": labelled}, state="finished", standing=standing,
        receipt=receipt, receipt_digest=digest(receipt), requested_by="user:x", requested=timezone.now(),
        ended=timezone.now(), id=7,
    )  # fmt: skip
    analysed.attach(analysis=analysis, by=BY)
    return analysis


@pytest.mark.parametrize(("kind", "type"), list(analysed.TYPES.items()))
def test_it_goes_on_record(bank: Bank, endpoint: Endpoint, kind: str, type: EvidenceType) -> None:  # noqa: F811
    row = analysed.evidence_of(made(endpoint, kind))
    assert row is not None
    assert (row.type, row.version_id) == (type, bank.new.pk)


@pytest.mark.parametrize(
    "asked", [{"labelled": False}, {"standing": "draft"}, {"kind": "comparison"}], ids=["labels", "draft", "comparison"]
)
def test_no_evidence(bank: Bank, endpoint: Endpoint, asked: dict[str, Any]) -> None:  # noqa: F811
    made(endpoint, **asked)
    assert not Evidence.objects.filter(type__in=analysed.TYPES.values()).exists()
