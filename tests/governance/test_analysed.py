"""Evidence that analyses make: what is recorded, what is not, and when it goes again."""

from __future__ import annotations

from typing import Any

import pytest
from django.utils import timezone

from audit.actors import Actor
from explain import analyses, erasure, jobs, receipts
from explain.digests import digest
from explain.models import Analysis
from governance import analysed, explained
from governance.models.evidence import Evidence, EvidenceType
from registry.models import Endpoint
from tests.explain import finishing
from tests.governance import scene
from tests.governance.scene import Bank
from tests.governance.test_explained import _no_broker, endpoint  # noqa: F401

BY = Actor.system("test")
KINDS = ("inputs", "predictions", "contributions")
NO_DRIFT: dict[str, Any] = {
    "sizes": [2, 2],
    "left_out": 0,
    "apart": {"auc": 0.5, "low": 0.4, "high": 0.6, "importance": []},
    "drifted": {kind: [] for kind in KINDS},
    **{kind: [] for kind in KINDS},
}


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


@pytest.fixture
def stored(bank: Bank, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch) -> Analysis:  # noqa: F811
    """A drift analysis from the request to the evidence; its figures are made up."""
    monkeypatch.setattr(analyses, "faults", lambda _analysis, _result: [])
    jobs_ = [finishing.finished(endpoint, subjects={"r0": "person-7"}), finishing.finished(endpoint)]
    asked = analyses.request("drift", *jobs_, by=scene.SET_UP)
    begun = analyses.begin(asked.pk)
    assert begun is not None
    found = analyses.finish(begun, NO_DRIFT)
    assert analysed.evidence_of(found) is not None
    return found


def test_evidence_and_analysis_name_each_other(stored: Analysis, client_for: Any) -> None:
    row = analysed.evidence_of(stored)
    assert row is not None
    assert analysed.subject_of(row) == stored.subject
    assert f'href="{stored.get_absolute_url()}"' in client_for("noor").get(row.get_absolute_url()).content.decode()
    analysis_page = client_for("noor").get(stored.get_absolute_url()).content.decode()
    assert f'href="{row.get_absolute_url()}"' in analysis_page


def test_files_that_changed_and_an_explanation_off_the_record_give_none(stored: Analysis) -> None:
    def again() -> None:
        analysed.attach(analysis=stored, by=BY)

    before = Evidence.objects.count()
    analysed.detach(job=stored.first, by=BY)
    stored.first.digest = f"sha256:{'0' * 64}"
    again()
    stored.first.refresh_from_db()
    explained.detach(job=stored.first, by=BY)
    again()
    assert Evidence.objects.count() == before


def test_erased_rows_withdraw_it(stored: Analysis) -> None:
    erasure.erase_rows("person-7", reason="Asked to be forgotten.", by=scene.actor("omar"))
    assert analysed.evidence_of(stored) is None


@pytest.mark.parametrize("value", [finishing.VALUE, 0.2], ids=["agrees", "disagrees"])
def test_a_rerun_that_disagrees_withdraws_it(stored: Analysis, value: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finishing, "VALUE", value)
    finishing.finish(jobs.rerun(stored.first, by=scene.SET_UP))
    assert (analysed.evidence_of(stored) is None) == (value != 0.1)


@pytest.mark.parametrize("module", [None, analyses, receipts], ids=["fits", "own receipt", "explanation"])
def test_what_no_longer_fits_withdraws_it(stored: Analysis, module: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    if module is not None:
        monkeypatch.setattr(module, "problems", lambda _what: ["It does not fit."])
    assert len(analysed.withdraw_tampered()) == (module is not None)
    assert (analysed.evidence_of(stored) is None) == (module is not None)
