"""Where the backups of an environment lie, who can look at it and where it is explained: said, or unknown."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.test import Client
from django.urls import reverse

from audit import queries as log
from audit.refusals import BadInput
from registry import environments, regions
from registry.models import Environment
from tests.registry.catalogue import BY, Catalogue

pytestmark = pytest.mark.django_db
Browser = Callable[[str], Client]
FORM = {
    "slug": "prod-ksa",
    "name": "Production, Dammam",
    "tier": "prod",
    "perimeter": "SA",
    "regions": "gcp:me-central2",
    "log_sinks": "gcp:me-central2",
    "backups": "gcp:me-central2, oci:me-jeddah-1",
    "support_access": "SA, AE-ADGM",
    "explanation_workers": "None",
}


def test_an_environment_is_registered_in_the_browser_with_every_place(client_for: Browser, db: None) -> None:
    answer = client_for("yusuf").post(reverse("registry:environment_register"), FORM)
    assert (answer.status_code, answer["Location"]) == (302, "/environments/prod-ksa")
    place = Environment.objects.get(slug="prod-ksa")
    assert place.places == {
        "serving": ["gcp:me-central2"],
        "inference_log": ["gcp:me-central2"],
        "backup": ["gcp:me-central2", "oci:me-jeddah-1"],
        "support_access": ["country:SA", "country:AE-ADGM"],
        "explanation_job": [],
    }


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("backups", "", "what nobody says is unknown"),
        ("support_access", "", "what nobody says is unknown"),
        ("explanation_workers", "  ", "what nobody says is unknown"),
        ("backups", "country:SA", "is not known"),
        ("support_access", "KSA", "is not a country"),
        ("support_access", "EU", "is not a country"),
        ("explanation_workers", "me-central-1", "Did you mean"),
        ("slug", "new", "Choose another name"),
    ],
)
def test_what_is_not_said_or_means_nothing_is_refused_at_its_field(
    field: str, value: str, sentence: str, client_for: Browser
) -> None:
    answer = client_for("yusuf").post(reverse("registry:environment_register"), {**FORM, field: value})
    assert answer.status_code == 400
    assert sentence in answer.content.decode()
    assert not Environment.objects.exists()


def test_what_nobody_said_is_shown_as_unknown_and_can_be_said(catalogue: Catalogue, client_for: Browser) -> None:
    Environment.objects.filter(pk=catalogue.uae.pk).update(backups=None, support_access=None, explanation_workers=None)
    yusuf = client_for("yusuf")
    page = yusuf.get("/environments/prod-uae").content.decode()
    assert page.count("nobody said") == 3
    assert "unknown,unknown,unknown" in b"".join(yusuf.get("/environments.csv").streaming_content).decode()  # type: ignore[attr-defined]
    said = {"backups": "azure:uaecentral", "support_access": "none", "explanation_workers": "azure:uaenorth"}
    assert yusuf.post("/environments/prod-uae/change", said).status_code == 302
    catalogue.uae.refresh_from_db()
    assert (catalogue.uae.backups, catalogue.uae.support_access) == (["azure:uaecentral"], [])
    page = yusuf.get("/environments/prod-uae").content.decode()
    assert "nobody said" not in page
    assert "satisfies no rule" in page, "uaecentral is restricted"
    [row] = log.history(catalogue.uae.subject, limit=1)
    assert row.event == "environment.changed"
    assert 'value="none"' in yusuf.get("/environments/prod-uae/change").content.decode()


def test_a_pipeline_says_it_too_and_an_auditor_does_not(catalogue: Catalogue, api_for: Browser) -> None:
    address = "/api/v1/environments/prod-uae"
    ci = api_for("ci")
    answer = ci.patch(address, {"support_access": ["SA"]}, content_type="application/json")
    assert (answer.status_code, answer.json()["support_access"], answer.json()["backups"]) == (200, ["SA"], [])
    for wrong in ({"support_access": ["XX"]}, {"backups": None}, {"perimeter": "SA"}, {"backups": "none"}):
        assert ci.patch(address, wrong, content_type="application/json").status_code == 400, wrong
    assert api_for("noor").patch(address, {"backups": []}, content_type="application/json").status_code == 403


def test_nothing_is_written_when_nothing_differs(catalogue: Catalogue) -> None:
    before = len(log.history(catalogue.uae.subject, limit=50))
    environments.change_environment(catalogue.uae, backups=[], by=BY)
    assert len(log.history(catalogue.uae.subject, limit=50)) == before


def test_a_country_is_a_place_for_people_only() -> None:
    assert regions.place("country:SA").country == "SA"
    assert (regions.place("country:AE-ADGM").country, regions.place("country:QA-QFC").country) == ("AE", "QA")
    for wrong in ("country:", "country:sa", "country:EU", "country:AE-federal", "country:XX"):
        with pytest.raises(BadInput):
            regions.place(wrong)
    with pytest.raises(BadInput):
        regions.lookup("country:SA")
