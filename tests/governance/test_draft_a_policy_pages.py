"""A policy is drafted, tried and put in force in the browser; a decision is replayed there."""

from __future__ import annotations

from collections.abc import Callable

from django.test import Client

from governance import backtests, gate, policies
from governance.models.backtest import Backtest
from governance.models.policy import PolicyPack
from tests.governance import scene
from tests.governance.policies.cases import without_cases
from tests.governance.scene import Bank

Browser = Callable[[str], Client]
TEXT = policies.shipped_packs()["two-person-production"].replace("version: 1\n", "version: 2\n")
STRICTER = without_cases(TEXT).replace("compliance_officer, n: 1", "compliance_officer, n: 2")


def test_from_the_text_to_its_activation(bank: Bank, client_for: Browser) -> None:
    scene.approved(bank)
    gate.check(bank.new, bank.uae, by=scene.actor("ci"))
    omar, dana = client_for("omar"), client_for("dana")
    assert "two-person-production" in omar.get("/policies/new?from=two-person-production").content.decode()
    answer = omar.post("/policies/new", {"text": STRICTER.replace("\n", "\r\n"), "reason": "Three people."})
    assert answer["Location"] == "/policies/two-person-production/2"
    assert PolicyPack.objects.get(version=2).text == STRICTER
    page = dana.get(answer["Location"]).content.decode()
    assert "It needs a finished back-test first." in page
    assert '<span class="diff-added">+      - {role: compliance_officer, n: 2}</span>' in page
    assert '<span class="diff-removed">-      - {role: compliance_officer, n: 1}</span>' in page
    started = omar.post("/policies/two-person-production/2/backtest")
    row = Backtest.objects.get()
    assert started["Location"] == f"/backtests/{row.pk}"
    assert "It waits for a worker." in omar.get(started["Location"]).content.decode()
    backtests.perform(row.pk)
    row.refresh_from_db()
    assert row.numbers["flips"] > 0
    found = omar.get(started["Location"]).content.decode()
    assert f"{row.numbers['flips']} of {row.numbers['decisions']} decisions would have come out otherwise" in found
    assert row.result["flips"][0]["decision"] in found
    assert "You drafted it; someone else must put it in force." in omar.get(answer["Location"]).content.decode()
    activate = "/policies/two-person-production/2/activate"
    omar.post(activate, {"reason": "Stricter."})
    assert PolicyPack.objects.get(slug="two-person-production", version=2).state == "draft"
    dana.post(activate, {"reason": "Stricter."})
    assert PolicyPack.objects.get(slug="two-person-production", version=2).state == "active"


def test_a_text_with_mistakes_is_shown_again_with_each_line_and_is_not_lost(bank: Bank, client_for: Browser) -> None:
    broken = STRICTER.replace("environment.tier", "environment.teir")
    answer = client_for("omar").post("/policies/new", {"text": broken, "reason": "x"})
    page = answer.content.decode()
    assert answer.status_code == 400
    assert "teir" in page
    line = next(number for number, each in enumerate(broken.splitlines(), start=1) if "teir" in each)
    assert f"line {line}, column" in page
    assert "compliance_officer, n: 2" in page
    assert not PolicyPack.objects.filter(version=2).exists()


def test_who_may_not_is_told_and_refused(bank: Bank, client_for: Browser) -> None:
    noor = client_for("noor")
    assert "Drafting needs the role compliance officer." in noor.get("/policies/new").content.decode()
    assert noor.post("/policies/new", {"text": STRICTER, "reason": "x"}).status_code == 403
    assert noor.post("/policies/uae-pdpl/1/backtest").status_code == 403
    assert not Backtest.objects.exists()
    assert noor.get("/backtests/1").status_code == 404


def test_a_decision_is_replayed_and_decided_by_todays_policies(bank: Bank, client_for: Browser) -> None:
    scene.approved(bank)
    decision = gate.check(bank.new, bank.uae, by=scene.actor("ci")).decision
    assert decision is not None
    noor, address = client_for("noor"), f"/decisions/{decision.public_id}/replay"
    assert "the same result, with the digest that the log recorded" in noor.post(address).content.decode()
    same = noor.post(address, {"packs": "now"}).content.decode()
    assert "come to the same outcome on the facts of then" in same
    client_for("omar").post("/policies/new", {"text": STRICTER, "reason": "Three people."})
    scene.in_force(PolicyPack.objects.get(slug="two-person-production", version=2))
    other = noor.post(address, {"packs": "now"}).content.decode()
    assert "come to another outcome on the facts of then" in other
    assert noor.get(address).status_code == 405
