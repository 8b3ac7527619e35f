"""What a denied decision would have needed, from what is stored: over HTTP, on its page, and true when it is done."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.test import Client
from django.urls import reverse

from audit import queries as log
from audit.refusals import Refused
from governance import gate, steps, transfers, ways
from governance.models.decision import Decision
from tests.conftest import CommittedDatabase
from tests.governance import scene
from tests.governance.scene import Bank
from tests.governance.test_replay_a_decision import tampered

Browser = Callable[[str], Client]


def checked(bank: Bank, place: str = "frankfurt") -> Decision:
    answer = gate.check(bank.new, getattr(bank, place), by=scene.actor("ci"))
    assert answer.decision is not None
    return answer.decision


def test_a_denied_transfer_is_passed_by_the_safeguard_that_was_named(bank: Bank) -> None:
    decision = checked(bank)
    assert decision.outcome == "deny"
    before = len(log.history(decision.subject))
    found = ways.to_pass(decision)
    assert len(log.history(decision.subject)) == before
    (step, signatures) = steps.steps(found.ways[0])
    assert step.where == "/transfers/new"
    assert "data-protection officer" in step.who
    assert "under the law of AE-federal for dr-frankfurt in azure:germanywestcentral" in step.text
    assert "1 ML lead" in signatures.text
    scene.cover()
    assert checked(bank).outcome == "pending"


def test_a_safeguard_that_waits_is_to_be_approved_and_then_it_is(bank: Bank) -> None:
    scene.cover()
    transfers.revoke("TS-1", reason="Wrong importer.", by=scene.actor("omar"))
    scene.cover("TS-2", approved=False)
    found = ways.to_pass(checked(bank))
    assert [each.name for each in found.ways[0].actions] == ["safeguard:TS-2"]
    assert steps.sentence(found.ways[0].actions[0]).startswith("Approve the safeguard TS-2")
    transfers.approve("TS-2", reason="Read it.", by=scene.actor("omar"))
    assert checked(bank).outcome == "pending"


def test_pending_needs_signatures_only_and_an_allow_needs_nothing(bank: Bank) -> None:
    pending = checked(bank, "uae")
    assert [way.actions for way in ways.to_pass(pending).ways] == [()]
    scene.approved(bank)
    allowed = checked(bank, "uae")
    assert allowed.outcome == "allow"
    assert ways.to_pass(allowed).ways == ()


def test_the_same_over_http(bank: Bank, api_for: Callable[[str], Client]) -> None:
    decision = checked(bank)
    answer = api_for("noor").get(f"/api/v1/decisions/{decision.public_id}/ways-to-pass")
    assert answer.status_code == 200, answer.content
    body = answer.json()
    assert (body["decision"], body["complete"]) == ("deny", True)
    first = body["ways"][0]["actions"][0]
    assert (first["kind"], first["law"], first["where"]) == ("record_safeguard", "AE-federal", "/transfers/new")
    assert first["sentence"] == body["ways"][0]["steps"][0]
    assert api_for("noor").get("/api/v1/decisions/dec_no/ways-to-pass").status_code == 404


def test_the_page_lists_it_when_asked(bank: Bank, client_for: Browser) -> None:
    decision = checked(bank)
    client = client_for("dana")
    address = reverse("governance:decision", args=[decision.public_id])
    plain = client.get(address).content.decode()
    assert f"{address}?ways=1#ways" in plain
    assert 'id="ways"' not in plain
    shown = client.get(f"{address}?ways=1").content.decode()
    assert "One action would be enough" in shown
    assert 'href="/transfers/new"' in shown
    assert "Found by deciding again" in shown


def test_changed_facts_are_refused_with_a_sentence(committed_db: CommittedDatabase) -> None:
    decision = checked(scene.build())
    changed = tampered(committed_db, decision, "facts", {**decision.facts, "now": "2020-01-01T00:00:00Z"})
    with pytest.raises(Refused, match="changed"):
        ways.to_pass(changed)
