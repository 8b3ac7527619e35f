"""J5: a signature that counts no more says what changed since, field by field."""

from __future__ import annotations

from typing import Any

import pytest

from governance import promotions
from governance.api import promotion_answers
from governance.changed import Change, changes
from governance.models.promotion import Promotion
from registry import environments
from tests.governance import scene
from tests.governance.scene import Bank

SIGNED: dict[str, Any] = {
    "artifact": {"version": "model-version:m/1", "digest": "sha256:aa"},
    "risk": "high",
    "rollout": {"strategy": "canary", "weight": 10},
    "target": {"regions": ["azure:uaenorth"], "log_sinks": ["azure:uaenorth"]},
    "policy": [{"pack": "ksa-pdpl", "version": 1, "digest": "sha256:11"}, {"pack": "old", "version": 1}],
    "data": [{"subject": "dataset:a", "region": "r1", "classification": "personal", "path": ["a", "b"]}],
    "jurisdictions": ["AE", "SA"],
    "incidents": [["INC-1", "open"]],
}


@pytest.mark.parametrize(
    ("part", "now", "found"),
    [
        ("artifact", {"version": "model-version:m/1", "digest": "sha256:bb"},
         [("", "changed", "digest", "sha256:aa", "sha256:bb")]),
        ("risk", "limited", [("", "changed", "", "high", "limited")]),
        ("rollout", {"strategy": "canary", "weight": 50}, [("", "changed", "weight", "10", "50")]),
        ("target", {"regions": ["azure:uaenorth"], "log_sinks": ["gcp:me-central2"]},
         [("", "changed", "log_sinks", "azure:uaenorth", "gcp:me-central2")]),
        ("target", {"regions": ["azure:uaenorth"], "log_sinks": ["azure:uaenorth"], "backups": ["x"]},
         [("", "changed", "backups", "", "x")]),
        ("policy", [{"pack": "ksa-pdpl", "version": 2, "digest": "sha256:22"}, {"pack": "new", "version": 1}],
         [("ksa-pdpl", "changed", "digest", "sha256:11", "sha256:22"), ("ksa-pdpl", "changed", "version", "1", "2"),
          ("new", "added", "", "", ""), ("old", "removed", "", "", "")]),
        ("data", [*SIGNED["data"], {"subject": "dataset:a", "region": "r2", "classification": "personal"}],
         [("dataset:a · r2", "added", "", "", "")]),
        ("data", [{**SIGNED["data"][0], "classification": "sensitive"}],
         [("dataset:a · r1", "changed", "classification", "personal", "sensitive")]),
        ("jurisdictions", ["AE"], [("SA", "removed", "", "", "")]),
        ("incidents", [["INC-1", "lifted"]], [("INC-1", "changed", "", "open", "lifted")]),
        ("evidence", [{"id": "EV-1", "subject": "m", "status": "active"}], [("EV-1", "added", "", "", "")]),
        ("something-new", {"a": 1}, [("", "added", "", "", "")]),
    ],
)  # fmt: skip
def test_each_part_says_what_is_different(part: str, now: Any, found: list[tuple[str, ...]]) -> None:
    told = changes(SIGNED, SIGNED | {part: now})
    assert [(each.of, each.kind, each.field, each.before, each.now) for each in told] == found
    assert {each.part for each in told} == {part}


def test_what_is_the_same_has_no_changes() -> None:
    assert changes(SIGNED, dict(SIGNED)) == ()


def _moved(bank: Bank) -> Promotion:
    promotion = scene.approved(bank)
    environments.change_environment(bank.uae, log_sinks=["aws:me-central-1"], by=scene.SET_UP)
    bank.uae.refresh_from_db()
    promotions.refresh(promotion.pk, by=scene.actor("sami"))
    promotion.refresh_from_db()
    return promotion


def test_the_page_of_a_second_round_shows_what_changed_and_keeps_the_first_readable(
    bank: Bank, client_for: Any
) -> None:
    before = ", ".join(sorted(bank.uae.log_sinks))
    promotion = _moved(bank)
    assert (promotion.round, promotion.state) == (2, "in_review")
    page = client_for("omar").get(f"/promotions/{promotion.pk}").content.decode()
    assert "What changed since round 1 was signed" in page
    assert "log_sinks" in page
    assert before in page
    assert "aws:me-central-1" in page
    assert page.count("for another subject, so it does not count") == 2, "both signatures stay readable"


def test_the_api_says_of_each_signature_what_changed(bank: Bank) -> None:
    promotion = _moved(bank)
    scene.sign(promotion, "layla", "ml_lead")
    body = promotion_answers.promotion_json(promotion, scene.latest(promotion))
    assert [each["stale"] for each in body["signoffs"]] == [True, True, False]
    first = body["signoffs"][0]["changed"]
    assert (
        Change("target", "", "changed", "log_sinks", ", ".join(bank.uae.log_sinks), "x").as_json().keys()
        == first[0].keys()
    )
    assert ("target", "log_sinks", "aws:me-central-1") in [(each["part"], each["field"], each["now"]) for each in first]
    assert body["signoffs"][2]["changed"] == []


def test_a_subject_that_came_back_says_so(bank: Bank, client_for: Any) -> None:
    sinks = list(bank.uae.log_sinks)
    promotion = _moved(bank)
    environments.change_environment(bank.uae, log_sinks=sinks, by=scene.SET_UP)
    bank.uae.refresh_from_db()
    promotions.refresh(promotion.pk, by=scene.actor("sami"))
    page = client_for("omar").get(f"/promotions/{promotion.pk}").content.decode()
    assert "It is again what was signed" in page
