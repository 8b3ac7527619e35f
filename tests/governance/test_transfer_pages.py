"""Transfers as people and programs see them: what ends next, what would fall, what is not lawful, what to halt."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from governance import rechecks, transfers
from governance.models.transfer import TransferHalt
from registry.models import Deployment, Finding
from tests.governance import scene
from tests.governance.scene import Bank

Browser = Callable[[str], Client]


def test_the_list_says_what_ends_next_and_what_would_fall_in_a_fixed_number_of_queries(
    bank: Bank, client_for: Browser
) -> None:
    address = reverse("governance:transfers")
    noor = client_for("noor")
    assert "No safeguard counts now." in noor.get(address).content.decode()
    scene.cover("TS-late", days=90, subjects=("environment:staging",))
    scene.cover("TS-soon", days=9)
    scene.serve(bank)
    day = f"{timezone.now() + timedelta(days=9):%Y-%m-%d}"
    page = noor.get(address).content.decode()
    assert f"2 safeguards count. TS-soon ends next, on {day}, and 1 deployment that serves would fall with it." in page
    assert page.index(">TS-soon<") < page.index(">TS-late<"), "what ends first is on top"
    counts = []
    for number in (1, 9):
        while Deployment.objects.open().count() < number:
            slug = f"place-{Deployment.objects.count()}"
            place = scene.environment(slug, "prod", "azure:germanywestcentral", "EU")
            scene.serve(bank, bank.new, place)
            scene.cover(f"TS-{slug}", subjects=(place.subject,))
        for view, arguments in (("transfers", []), ("transfer", ["TS-soon"])):
            with CaptureQueriesContext(connection) as queries:
                assert noor.get(reverse(f"governance:{view}", args=arguments)).status_code == 200
            counts.append(len(queries))
    assert counts[:2] == counts[2:], "the number of queries grows with what is covered"
    assert max(counts) <= 18


def test_a_safeguards_page_names_what_would_fall_and_the_api_all_of_it(
    bank: Bank, client_for: Browser, api_for: Browser
) -> None:
    scene.cover()
    row = scene.serve(bank)
    page = client_for("noor").get(reverse("governance:transfer", args=["TS-1"])).content.decode()
    assert f'href="{row.get_absolute_url()}"' in page
    assert "AE-RES-001: environment:dr-frankfurt" in page
    told = api_for("noor").get("/api/v1/transfers/TS-1/reliance").json()
    assert [each["id"] for each in told["would_fall"]] == [row.pk]
    assert {each["rule"] for each in told["would_fall"][0]["findings"]} == {"AE-RES-001"}


def test_what_is_no_longer_lawful_is_said_wherever_the_deployment_stands(bank: Bank, client_for: Browser) -> None:
    scene.cover()
    row = scene.serve(bank)
    noor = client_for("noor")
    addresses = [
        reverse("governance:overview"),
        reverse("registry:environment", args=["dr-frankfurt"]),
        reverse("registry:deployment", args=[row.pk]),
        reverse("registry:deployments"),
        reverse("registry:reconciler"),
    ]
    for address in addresses:
        assert "on-compliant" not in noor.get(address).content.decode()
    transfers.revoke("TS-1", reason="Sold.", by=scene.actor("dana"))
    rechecks.follow_up()
    finding = Finding.objects.unlawful().get()
    for address in addresses:
        page = noor.get(address).content.decode()
        assert f'href="{finding.get_absolute_url()}"' in page, address
        assert "on-compliant" in page or "no longer lawful" in page, address
    assert "1 deployment serves and is no longer lawful." in noor.get(addresses[0]).content.decode()
    assert "1 deployment here is no longer lawful." in noor.get(addresses[1]).content.decode()


def test_halting_is_done_on_the_page_and_by_programs(bank: Bank, client_for: Browser, api_for: Browser) -> None:
    scene.cover()
    scene.serve(bank)
    transfers.revoke("TS-1", reason="Sold.", by=scene.actor("dana"))
    rechecks.follow_up()
    overview = client_for("noor").get(reverse("governance:overview")).content.decode()
    assert "It ended while 1 deployment relied on it: halt the transfer" in overview
    take, finish = (reverse(f"governance:{name}_halt", args=["TS-1"]) for name in ("take", "finish"))
    assert client_for("noor").post(take).status_code == 403
    assert client_for("dana").post(take).status_code == 302
    assert client_for("dana").post(finish, {"reason": "Drained.", "recipients": " "}).status_code == 400
    listed = api_for("noor").get("/api/v1/transfer-halts").json()["results"]
    assert [(each["safeguard"], each["state"]) for each in listed] == [("TS-1", "taken")]
    omar = api_for("omar")
    told = omar.post("/api/v1/transfer-halts/TS-1/take", {}, content_type="application/json").json()
    assert told["owner"] == scene.actor("omar").id
    done = {"reason": "Drained.", "recipients": "Bank, Frankfurt\r\nBank, Paris\r\n"}
    assert client_for("dana").post(finish, done).status_code == 302
    assert TransferHalt.objects.get().recipients == ["Bank, Frankfurt", "Bank, Paris"]
    body = {"reason": "Again.", "recipients": ["x"]}
    again = omar.post("/api/v1/transfer-halts/TS-1/done", body, content_type="application/json")
    assert again.status_code == 409
    page = client_for("noor").get(reverse("governance:transfer", args=["TS-1"])).content.decode()
    assert "Bank, Paris" in page


def test_the_safeguards_are_a_table_and_one_whose_end_has_come_stands_as_ended(
    bank: Bank, client_for: Browser, api_for: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.cover("TS-soon", days=1)
    scene.cover("TS-late", days=90)
    truly = timezone.now
    monkeypatch.setattr(timezone, "now", lambda: truly() + timedelta(days=2))
    noor = client_for("noor")
    page = b"".join(noor.get(reverse("governance:transfers_csv")).streaming_content).decode()  # type: ignore[attr-defined]
    rows = list(csv.DictReader(io.StringIO(page)))
    assert [(row["reference"], row["standing"]) for row in rows] == [("TS-soon", "ended"), ("TS-late", "active")]
    assert (rows[1]["law"], rows[1]["regions"]) == ("AE-federal", "azure:germanywestcentral")
    told = api_for("noor").get("/api/v1/transfers/TS-soon").json()
    assert (told["status"], told["standing"]) == ("active", "ended")
