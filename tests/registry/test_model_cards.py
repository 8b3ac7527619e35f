"""What is said about a model: changed with before and after, and told as a card in three forms."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from audit import queries
from audit.refusals import BadInput, Conflict
from registry import cards, erasure, versions
from registry.models import Model
from registry.pages.changing import ModelForm
from tests import personas
from tests.registry.catalogue import BY, Catalogue

pytestmark = pytest.mark.django_db
Browser = Callable[[str], Client]
Api = Callable[[str], Client]


def form_of(model: Model, **changes: str) -> dict[str, Any]:
    """What the browser sends back when only ``changes`` were typed."""
    form = ModelForm(model=model)
    return {**{name: form.initial.get(name, "") for name in form.fields}, **changes}


def test_the_form_changes_a_model_with_before_and_after(catalogue: Catalogue, client_for: Browser) -> None:
    model = catalogue.first.model
    client = client_for("yusuf")
    assert client.get("/models/credit-scoring/change").status_code == 200
    sent = form_of(model, intended_use="Consumer loans.", limits="Not for firms.", contacts="risk desk\nYusuf <y@b.ae>")
    answer = client.post("/models/credit-scoring/change", sent)
    assert (answer.status_code, answer["location"]) == (302, "/models/credit-scoring")
    (entry,) = queries.history("model:credit-scoring", limit=1)
    assert entry.facts["before"] == {"intended_use": "", "limits": ""}
    assert entry.facts["after"] == {"intended_use": "Consumer loans.", "limits": "Not for firms."}
    assert "Yusuf" not in str(entry.facts)
    assert Model.objects.get().contacts == ["risk desk", "Yusuf <y@b.ae>"]
    shown = client.get("/models/credit-scoring").content.decode()
    assert "Not for firms." in shown
    assert "Yusuf &lt;y@b.ae&gt;" in shown


def test_who_may_not_change_sees_why(catalogue: Catalogue, client_for: Browser) -> None:
    assert client_for("noor").get("/models/credit-scoring/change").status_code == 403
    assert "Changing the registry needs the role" in client_for("noor").get("/models/credit-scoring").content.decode()


def test_a_stale_form_overwrites_nothing(catalogue: Catalogue, client_for: Browser) -> None:
    model = catalogue.first.model
    stale = form_of(model, title="Old title")
    versions.change_model(model, title="Scores", by=BY)
    answer = client_for("yusuf").post("/models/credit-scoring/change", stale)
    assert answer.status_code == 409
    assert "while you looked at it" in answer.content.decode()
    assert Model.objects.get().title == "Scores"
    with pytest.raises(Conflict):
        versions.change_model(model, title="x", seen="0" * 32, by=BY)


def test_a_pipeline_changes_only_what_it_sends(catalogue: Catalogue, api_for: Api) -> None:
    client = api_for("ci")

    def patch(body: dict[str, Any]) -> Any:
        return client.patch("/api/v1/models/credit-scoring", body, content_type="application/json")

    answer = patch({"limits": "Not for firms.", "contacts": ["risk desk"]})
    assert answer.status_code == 200, answer.content
    told = answer.json()
    assert (told["limits"], told["contacts"], told["purpose"]) == ("Not for firms.", ["risk desk"], "Scores")
    entries = len(queries.history("model:credit-scoring", limit=50))
    for body in ({"risk": "minimal"}, {"title": " "}, {"contacts": ["x" * 201]}, {"colour": "red"}, {"risk": "none"}):
        assert patch(body).status_code == 400, body
    assert patch({"limits": "Not for firms."}).status_code == 200
    assert len(queries.history("model:credit-scoring", limit=50)) == entries
    assert patch({"risk": "limited", "risk_reason": "A person decides."}).json()["risk"] == "limited"
    assert client.get("/api/v1/models/credit-scoring").json()["risk_reason"] == "A person decides."


@pytest.mark.parametrize("contacts", [["a\nb"], ["x"] * 1 + [str(n) for n in range(25)], ["a\x00b"], ["y" * 201]])
def test_contacts_are_lines(catalogue: Catalogue, contacts: list[str]) -> None:
    with pytest.raises(BadInput, match="one a line"):
        versions.change_model(catalogue.first.model, contacts=contacts, by=BY)


def test_an_erased_contact_leaves_no_line(catalogue: Catalogue) -> None:
    yusuf = personas.get("yusuf").subject
    versions.change_model(
        catalogue.first.model, contacts=["yusuf@bank.example", "yusufia desk", "Dr Yusuf Rahman, room 4"], by=BY
    )
    names = {"yusuf", "Yusuf Rahman"}
    assert "after.contacts" in {field for _entry, field in erasure.recorded_names(names)}
    assert erasure.forget_person(names, pseudonym=yusuf, by=BY)["models"] == 1
    assert Model.objects.get().contacts == [yusuf, "yusufia desk"]


def test_the_card_says_what_nobody_has_said(catalogue: Catalogue, client_for: Browser, api_for: Api) -> None:
    shown = client_for("noor").get("/models/credit-scoring/card").content.decode()
    assert "5 things that a reader looks for are not known." in shown
    told = api_for("ci").get("/api/v1/models/credit-scoring/card").json()
    assert told["unsaid"] == ["intended_use", "limits", "contacts", "metrics", "dependencies"]
    assert (told["version"]["number"], told["version"]["run"]) == (2, "run-412")
    assert told["version"]["data"][0]["name"] == "loans"
    assert told["serving"][0]["version"] == "version:credit-scoring/1"


def test_the_card_tells_of_the_version_that_is_asked_for(
    catalogue: Catalogue, api_for: Api, client_for: Browser
) -> None:
    client = api_for("ci")
    assert client.get("/api/v1/models/credit-scoring/card?version=1").json()["version"]["number"] == 1
    assert client.get("/api/v1/models/credit-scoring/card?version=9").status_code == 404
    assert client.get("/api/v1/models/credit-scoring/card?version=x").status_code == 400
    assert client_for("noor").get("/models/nobody/card").status_code == 404
    empty = versions.register_model(
        "empty", title="Empty", owner="risk", purpose="None yet.", risk="unknown", risk_reason="Not assessed.", by=BY
    )
    assert cards.card_of(empty, None).unsaid[-1] == "version"
    for address in ("/models/empty/card", "/models/empty/card.md"):
        assert "It has no version yet." in client_for("noor").get(address).content.decode()


def test_the_card_in_markdown_is_text_whatever_people_wrote(catalogue: Catalogue, client_for: Browser) -> None:
    versions.change_model(
        catalogue.first.model,
        title="# Score <script>alert(1)</script>",
        limits="| a | b |\n[x](javascript:alert(1)) *bold* `code`",
        by=BY,
    )
    answer = client_for("noor").get("/models/credit-scoring/card.md")
    assert answer["content-type"] == "text/markdown; charset=utf-8"
    told = answer.content.decode()
    assert told.startswith("# \\# Score \\<script\\>alert\\(1\\)\\</script\\>\n")
    assert "\\| a \\| b \\| \\[x\\]\\(javascript:alert\\(1\\)\\) \\*bold\\* \\`code\\`" in told
    assert "| loans | Personal | AE | azure:uaenorth | claimed |" in told
    assert "Unknown: nobody said what it needs to run." in told
