"""People state and confirm facts of a data set; what is confirmed survives every claim; each change is an entry."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.test import Client

from audit import queries
from audit.models.events import Event
from audit.refusals import BadInput, Conflict, NotPermitted
from registry import datasets, erasure, families
from registry.models import FACTS, Dataset
from registry.pages.changing import DatasetForm
from registry.sources import claims
from tests import personas
from tests.registry.catalogue import BY, Catalogue

pytestmark = pytest.mark.django_db
Browser = Callable[[str], Client]
Api = Callable[[str], Client]


def claim(**changes: Any) -> claims.Claim:
    """What a run's tags say of ``loans``."""
    given: dict[str, Any] = {
        "name": "loans",
        "digest": "",
        "source_uri": "",
        "classification": None,
        "subjects": None,
        "regions": None,
        "parents": (),
        "problems": (),
    }
    return claims.Claim(**{**given, **changes})


def state(dataset: Dataset, given: dict[str, Any] | None = None, **more: Any) -> Dataset:
    """As somebody who may confirm."""
    options: dict[str, Any] = {"may_confirm": lambda: None, "reason": "Assessed.", "by": personas.get("dana").actor}
    return datasets.state_dataset(dataset, given or {}, **{**options, **more})


def form_of(dataset: Dataset, **changes: Any) -> dict[str, Any]:
    """What the browser sends back when only ``changes`` were typed."""
    form = DatasetForm(dataset=dataset, refused="")
    return {**{name: form.initial.get(name, "") for name in form.fields}, **changes}


def test_a_person_states_what_the_law_asks_and_the_entry_has_before_and_after(catalogue: Catalogue) -> None:
    said = {
        "owner": "Dana Weiss",
        "perimeter": "AE-ADGM",
        "lawful_basis": "contract",
        "retention": "five years after the contract ends",
        "provenance": "Applications from branches.",
    }
    state(catalogue.loans, said)
    row = Dataset.objects.get(name="loans")
    assert {fact: getattr(row, fact) for fact in said} == said
    (entry,) = queries.history("dataset:loans", limit=1)
    assert entry.event == "dataset.changed"
    assert entry.facts["before"] == dict.fromkeys(("perimeter", "lawful_basis", "retention", "provenance"), "")
    assert entry.facts["after"] == {fact: text for fact, text in said.items() if fact != "owner"}
    assert "Dana Weiss" not in str(entry.facts)


def test_what_a_person_confirmed_is_never_overwritten_by_a_claim(catalogue: Catalogue) -> None:
    state(catalogue.loans, confirmed_facts=["regions"])
    claims.settle(claim(regions=["aws:eu-central-1"], classification="sensitive"), by=BY)
    row = Dataset.objects.get(name="loans")
    assert row.regions == ["azure:uaenorth"]
    assert row.classification == "sensitive"  # nobody confirmed it
    state(row, confirmed_facts=["classification", "regions", "subjects"])
    claims.settle(claim(classification="none", subjects=["DE"], regions=[]), by=BY)
    row.refresh_from_db()
    assert (row.classification, row.subjects, row.regions) == ("sensitive", ["AE"], ["azure:uaenorth"])
    assert row.confirmed


def test_confirming_alone_is_an_event_of_its_own(catalogue: Catalogue) -> None:
    state(catalogue.loans, confirmed_facts=["regions", "subjects"])
    (entry,) = queries.history("dataset:loans", limit=1)
    assert entry.event == Event.DATASET_CONFIRMED
    assert entry.facts["before"] == {"confirmed_facts": []}
    assert entry.facts["after"] == {"confirmed_facts": ["subjects", "regions"]}


def test_nobody_confirms_what_nobody_said(catalogue: Catalogue) -> None:
    dark = datasets.register_dataset("dark", classification="unknown", subjects=[], regions_held=[], by=BY)
    for fact in ("classification", "subjects", "regions", "owner", "retention"):
        with pytest.raises(BadInput, match=fact):
            state(dark, confirmed_facts=[fact])
    with pytest.raises(BadInput, match="not known here"):
        state(dark, confirmed_facts=["colour"])
    assert Dataset.objects.get(name="dark").confirmed_facts == []


def test_a_fact_that_becomes_unknown_is_no_longer_confirmed(catalogue: Catalogue) -> None:
    state(catalogue.loans, confirmed_facts=["classification", "subjects", "regions"])
    row = state(catalogue.loans, {"regions": []})
    assert row.confirmed_facts == ["classification", "subjects"]
    assert not row.confirmed
    assert row.unknown_facts == ("regions",)


def test_a_confirmed_fact_changes_only_with_a_reason_and_by_who_may_confirm(catalogue: Catalogue) -> None:
    state(catalogue.loans, confirmed_facts=["regions"])

    def refuse() -> None:
        raise NotPermitted("no", code="access.dataset.confirm")

    with pytest.raises(NotPermitted):
        state(catalogue.loans, {"regions": ["aws:me-central-1"]}, may_confirm=refuse)
    with pytest.raises(BadInput, match="Say why"):
        state(catalogue.loans, {"regions": ["aws:me-central-1"]}, reason=" ")
    with pytest.raises(BadInput, match="Say why"):
        state(catalogue.loans, confirmed_facts=[], reason="")
    state(catalogue.loans, {"owner": "risk"}, may_confirm=refuse, reason="")  # not confirmed: anybody who may change it
    assert Dataset.objects.get(name="loans").regions == ["azure:uaenorth"]


def test_what_cannot_be_understood_changes_nothing(catalogue: Catalogue) -> None:
    before = queries.history("dataset:loans", limit=50)
    for given in (
        {"classification": "secret"},
        {"subjects": ["XX"]},
        {"regions": ["me-central-1"]},
        {"perimeter": "Mars"},
        {"lawful_basis": "because"},
        {"retention": "x" * 401},
        {"provenance": "a\x00b"},
        {"colour": "red"},
    ):
        with pytest.raises(BadInput):
            state(catalogue.loans, given)
    assert queries.history("dataset:loans", limit=50) == before
    assert state(catalogue.loans, {"classification": "personal"}).pk == catalogue.loans.pk
    assert queries.history("dataset:loans", limit=50) == before  # nothing differs: no entry


def test_the_database_holds_the_summary_to_the_facts(catalogue: Catalogue) -> None:
    for column in ("confirmed = true", "confirmed_facts = '{colour}'", "perimeter = 'Mars'", "lawful_basis = 'x'"):
        with pytest.raises(IntegrityError), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(f"UPDATE registry_dataset SET {column}")


def test_a_change_that_was_not_seen_is_not_overwritten(catalogue: Catalogue) -> None:
    seen = datasets.stamp(catalogue.loans)
    state(catalogue.loans, {"owner": "risk"}, seen=seen)
    with pytest.raises(Conflict, match="while you looked at it"):
        state(catalogue.loans, {"owner": "fraud"}, seen=seen)
    assert Dataset.objects.get(name="loans").owner == "risk"


def test_an_owner_who_is_erased_becomes_their_pseudonym(catalogue: Catalogue) -> None:
    state(catalogue.loans, {"owner": "Yusuf Rahman"})
    state(catalogue.loans, {"owner": "YUSUF rahman"})
    yusuf = personas.get("yusuf")
    named = erasure.recorded_names({"yusuf", "Yusuf Rahman"})
    assert {field for _entry, field in named} >= {"after.owner", "before.owner"}
    changed = erasure.forget_person({"yusuf", "Yusuf Rahman"}, pseudonym=yusuf.subject, by=BY)
    assert changed["datasets"] == 1
    assert Dataset.objects.get(name="loans").owner == yusuf.subject


def test_the_page_shows_who_says_what_and_the_status_of_each_region(
    catalogue: Catalogue, client_for: Browser, settings: Any
) -> None:
    settings.CONFIRMED_REGIONS = {"onprem:ksa-riyadh": "SA"}
    state(
        catalogue.loans,
        {"regions": ["azure:uaenorth", "onprem:ksa-riyadh", "aws:me-west-1"], "owner": "risk"},
        confirmed_facts=["regions"],
    )
    shown = client_for("noor").get("/datasets/loans").content.decode()
    for words in ("generally available", "confirmed by the operator", "listed, not available", "satisfies no rule"):
        assert words in shown
    assert shown.count("nobody has said") >= 3
    assert "disabled" in shown
    assert "/datasets/loans/change" not in shown
    assert "/datasets/loans/change" in client_for("dana").get("/datasets/loans").content.decode()


def test_the_form_changes_and_confirms(catalogue: Catalogue, client_for: Browser) -> None:
    client = client_for("dana")
    assert client.get("/datasets/loans/change").status_code == 200
    sent = form_of(catalogue.loans, owner="risk", subjects="AE, SA", confirmed_facts=["subjects", "owner"])
    answer = client.post("/datasets/loans/change", sent)
    assert (answer.status_code, answer["location"]) == (302, "/datasets/loans"), answer.content.decode()[:3000]
    row = Dataset.objects.get(name="loans")
    assert (row.owner, row.subjects, row.confirmed_facts) == ("risk", ["AE", "SA"], ["subjects", "owner"])
    (entry,) = queries.history("dataset:loans", limit=1)
    assert entry.actor_name == "Dana Weiss"


def test_the_form_says_what_is_wrong_at_its_field(catalogue: Catalogue, client_for: Browser) -> None:
    client = client_for("dana")
    answer = client.post("/datasets/loans/change", form_of(catalogue.loans, regions="me-central-1"))
    assert answer.status_code == 400
    shown = answer.content.decode()
    assert "Did you mean" in shown
    assert 'href="#id_regions"' in shown
    stale = form_of(catalogue.loans, owner="fraud")
    state(catalogue.loans, {"owner": "risk"})
    answer = client.post("/datasets/loans/change", stale)
    assert answer.status_code == 409
    assert "while you looked at it" in answer.content.decode()


def test_who_may_only_change_cannot_touch_what_is_confirmed(catalogue: Catalogue, client_for: Browser) -> None:
    state(catalogue.loans, confirmed_facts=["regions"])
    client = client_for("yusuf")
    row = Dataset.objects.get(name="loans")
    assert "It is confirmed" in client.get("/datasets/loans/change").content.decode()
    sent = form_of(row, regions="aws:eu-central-1", owner="risk", confirmed_facts=list(FACTS))
    assert client.post("/datasets/loans/change", sent).status_code == 302
    row.refresh_from_db()
    assert (row.regions, row.owner, row.confirmed_facts) == (["azure:uaenorth"], "risk", ["regions"])
    assert client_for("noor").get("/datasets/loans/change").status_code == 403


def test_a_pipeline_states_and_never_confirms(catalogue: Catalogue, api_for: Api) -> None:
    client = api_for("ci")

    def patch(body: dict[str, Any]) -> Any:
        return client.patch("/api/v1/datasets/loans", body, content_type="application/json")

    answer = patch({"lawful_basis": "contract", "owner": "risk"})
    assert answer.status_code == 200, answer.content
    assert (answer.json()["lawful_basis"], answer.json()["confirmed_facts"]) == ("contract", [])
    assert answer.json()["places"][0]["status"] == "ga"
    refused = patch({"confirmed_facts": ["regions"]})
    assert refused.status_code == 403
    assert "a token cannot do it" in refused.json()["detail"]
    state(catalogue.loans, confirmed_facts=["regions"])
    assert patch({"regions": ["aws:me-central-1"], "reason": "moved"}).status_code == 403
    assert patch({"colour": "red"}).status_code == 400
    assert patch({"regions": ["nowhere"]}).status_code == 400
    assert patch({"retention": "x" * 401}).status_code == 400
    assert Dataset.objects.get(name="loans").regions == ["azure:uaenorth"]


def test_a_person_confirms_by_the_api_in_their_session(catalogue: Catalogue, client_for: Browser) -> None:
    client = client_for("omar")
    answer = client.patch(
        "/api/v1/datasets/loans", {"confirmed_facts": ["classification"]}, content_type="application/json"
    )
    assert answer.status_code == 200, answer.content
    assert answer.json()["confirmed_facts"] == ["classification"]
    refused = client_for("noor").patch("/api/v1/datasets/loans", {"owner": "x"}, content_type="application/json")
    assert refused.status_code == 403


def test_versions_of_one_data_set_are_seen_together(catalogue: Catalogue, client_for: Browser, api_for: Api) -> None:
    claims.settle(claim(name="cards", digest="aaaa1111", classification="none"), by=BY)
    claims.settle(claim(name="cards", digest="bbbb2222", classification="none"), by=BY)
    datasets.register_dataset("cards.old", classification="none", subjects=[], regions_held=[], by=BY)  # no version
    assert [row.name for row in families.versions_of("cards")] == ["cards.bbbb2222", "cards"]
    client = client_for("noor")
    for name in ("cards", "cards.bbbb2222"):
        shown = client.get(f"/datasets/{name}").content.decode()
        assert "Versions of this data set" in shown
        listed = api_for("ci").get(f"/api/v1/datasets/{name}/versions").json()["results"]
        assert [each["digest"] for each in listed] == ["bbbb2222", "aaaa1111"]
    assert "Versions of this data set" not in client.get("/datasets/cards.old").content.decode()
    assert client.get("/datasets").content.decode().count("a version of cards") == 1


def test_a_confirmed_row_of_before_says_the_same_in_the_new_words(catalogue: Catalogue) -> None:
    confirmed = datasets.register_dataset(
        "payroll", classification="personal", subjects=["AE"], regions_held=["azure:uaenorth"], confirmed=True, by=BY
    )
    assert confirmed.confirmed_facts == ["classification", "subjects", "regions"]
    half = datasets.register_dataset(
        "half", classification="unknown", subjects=["AE"], regions_held=[], confirmed=True, by=BY
    )
    assert (half.confirmed, half.confirmed_facts) == (False, ["subjects"])
