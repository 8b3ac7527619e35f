"""Lists are searched by the same filters as page, CSV, XLSX and API, and all four find the same number of rows."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import openpyxl
import pytest
from django.test import Client
from django.utils import timezone

from governance import accounts
from registry import datasets, deployments, environments, findings, incidents, versions
from registry.lineage import roots
from registry.lists import LISTS
from registry.lists.troubles import IncidentFilter
from registry.models import Finding
from registry.reconciling.comparison import Comparison, Difference, Kind
from tests import personas
from tests.registry.catalogue import BY, Catalogue

pytestmark = pytest.mark.django_db
Browser = Callable[[str], Client]
Api = Callable[[str], Client]
ADDRESS = {name: f"/api/v1/{name}" for name in LISTS} | {"deployments": "/api/v1/deployments/history"}
PAGE = {name: f"/{name}" for name in LISTS} | {"findings": "/reconciler"}
#: What tells a list's rows apart, on the page and in the API; deployments by the number of their version.
KEY = {"models": "name", "datasets": "name", "environments": "slug", "incidents": "title", "findings": "concerns"}


@pytest.fixture
def shop(catalogue: Catalogue) -> Catalogue:
    """Two more models, three more data sets and another environment beside the catalogue."""
    for name, risk in (("fraud", "limited"), ("churn", "minimal")):
        versions.register_model(
            name, title=f"Card {name}", owner="payments", purpose="Flags.", risk=risk, risk_reason="Assessed.", by=BY
        )
    versions.register_version(versions.find_model("fraud"), digest=Catalogue.digest(9), trained_by=["layla"], by=BY)
    datasets.register_dataset("dark", classification="unknown", subjects=[], regions_held=[], by=BY)
    datasets.register_dataset("open-data", classification="none", subjects=[], regions_held=["gcp:me-central2"], by=BY)
    datasets.register_dataset(
        "payroll", classification="special", subjects=["SA"], regions_held=["gcp:me-central2"], confirmed=True, by=BY
    )
    ksa = environments.register_environment(
        "prod-ksa",
        name="Production, Dammam",
        tier="dr",
        regions_served=["gcp:me-central2"],
        perimeter="SA",
        log_sinks=["azure:uaenorth"],
        backups=[],
        support_access=[],
        explanation_workers=[],
        by=BY,
    )
    deployments.record_deploy(ksa, catalogue.first, by=BY)
    deployments.record_deploy(ksa, catalogue.second, by=BY)
    deployments.record_rollback(ksa, catalogue.first, reason="=1+1", incident="INC-7", by=BY)
    _troubles()
    return catalogue


def _troubles() -> None:
    """Two incidents, one of them frozen, and three findings: one stands, one is taken, one is gone."""
    omar = personas.get("omar").actor
    for title, root in (("Poisoned labels", "version:credit-scoring/1"), ("=cmd|calc", "dataset:loans")):
        opened = incidents.open_incident(title, root=root, since=datetime(2026, 1, 1, tzinfo=UTC), reason="+1", by=omar)
    incidents.freeze(opened.reference, reason="Consent was withdrawn.", by=omar)

    def look(*seen: Difference) -> None:
        found = Comparison(seen, (), True, (), frozenset(), frozenset())
        findings.settle(found, set(), at=timezone.now(), by=BY)

    gone = Difference(Kind.SOURCE_CHANGED, "version:fraud/1", "source:mlflow")
    taken = Difference(Kind.DELETED_THERE, "model:churn", "source:mlflow", recorded={"source": "=1+1"})
    standing = Difference(Kind.ALIAS_MOVED, "alias:credit-scoring/live", "source:mlflow", environment="prod-uae")
    look(gone)
    look(taken, standing)
    findings.take(Finding.objects.get(concerns="model:churn").pk, by=omar)


@pytest.mark.parametrize(
    ("name", "query", "found"),
    [
        ("models", "", {"churn", "credit-scoring", "fraud"}),
        ("models", "q=CARD", {"churn", "fraud"}),
        ("models", "q=payments&risk=minimal", {"churn"}),
        ("models", "environment=prod-ksa", {"credit-scoring"}),
        ("models", "state=serving", {"credit-scoring"}),
        ("models", "state=served", set()),
        ("models", "state=unserved", {"fraud"}),
        ("models", "state=empty", {"churn"}),
        ("datasets", "", {"dark", "loans", "open-data", "payroll"}),
        ("datasets", "classification=special", {"payroll"}),
        ("datasets", "region=gcp:me-central2", {"open-data", "payroll"}),
        ("datasets", "unknown=gate", {"dark"}),
        ("datasets", "unknown=subjects", {"dark"}),
        ("datasets", "unknown=lawful_basis", {"dark", "loans", "payroll"}),
        ("datasets", "unknown=owner", {"dark", "loans", "open-data", "payroll"}),
        ("datasets", "standing=confirmed", {"payroll"}),
        ("datasets", "standing=claimed&q=O", {"loans", "open-data"}),
        ("environments", "", {"prod-ksa", "prod-uae"}),
        ("environments", "tier=dr", {"prod-ksa"}),
        ("environments", "perimeter=AE-federal", {"prod-uae"}),
        ("environments", "region=azure:uaenorth", {"prod-ksa", "prod-uae"}),
        ("environments", "q=dammam", {"prod-ksa"}),
        ("deployments", "state=serving", {1}),
        ("deployments", "environment=prod-ksa&kind=rollback", {1}),
        ("deployments", "environment=prod-ksa&state=ended", {1, 2}),
        ("deployments", "model=fraud", set()),
        ("deployments", "strategy=canary", set()),
        ("deployments", "q=inc-7", {1}),
        ("deployments", "since=2020-01-01&until=2020-12-31", set()),
        ("deployments", "since=2020-01-01", {1, 2}),
        ("incidents", "", {"Poisoned labels", "=cmd|calc"}),
        ("incidents", "q=POISON", {"Poisoned labels"}),
        ("incidents", "q=dataset:loans", {"=cmd|calc"}),
        ("incidents", "state=frozen", {"=cmd|calc"}),
        ("incidents", "state=lifted", set()),
        ("incidents", "about=version", {"Poisoned labels"}),
        ("incidents", "about=region", set()),
        ("incidents", "opened_from=2020-01-01", {"Poisoned labels", "=cmd|calc"}),
        ("incidents", "opened_to=2020-01-01", set()),
        ("findings", "show=", {"version:fraud/1", "model:churn", "alias:credit-scoring/live"}),
        ("findings", "show=standing", {"model:churn", "alias:credit-scoring/live"}),
        ("findings", "show=gone", {"version:fraud/1"}),
        ("findings", "show=standing&state=taken", {"model:churn"}),
        ("findings", "show=&state=closed", {"version:fraud/1"}),
        ("findings", "show=&kind=alias_moved", {"alias:credit-scoring/live"}),
        ("findings", "show=&environment=prod-uae", {"alias:credit-scoring/live"}),
        ("findings", "show=&q=FRAUD", {"version:fraud/1"}),
    ],
)
def test_page_table_and_api_find_the_same(
    shop: Catalogue, client_for: Browser, api_for: Api, name: str, query: str, found: set[Any]
) -> None:
    client = client_for("noor")
    page = client.get(f"{PAGE[name]}?{query}").context["page"]
    key = KEY.get(name)
    shown = [getattr(row, key) if key else row.version.number for row in page.object_list]
    assert set(shown) == found
    body = b"".join(client.get(f"/{name}.csv?{query}").streaming_content).decode()  # type: ignore[attr-defined]
    rows = list(csv.reader(io.StringIO(body)))
    assert len(rows) - 1 == page.paginator.count == len(shown)
    sheet = b"".join(client.get(f"/{name}.xlsx?{query}").streaming_content)  # type: ignore[attr-defined]
    cells = list(openpyxl.load_workbook(io.BytesIO(sheet)).active.values)  # type: ignore[union-attr]
    assert len(cells) == len(rows)
    assert list(cells[0]) == rows[0] == list(LISTS[name].columns)
    answered = api_for("ci").get(f"{ADDRESS[name]}?{query}").json()["results"]
    assert len(answered) == len(shown)
    if key:
        assert {row[key] for row in answered} == found


def test_a_cell_that_looks_like_a_formula_is_none(shop: Catalogue, client_for: Browser) -> None:
    client = client_for("noor")
    body = b"".join(client.get("/deployments.csv?kind=rollback").streaming_content).decode()  # type: ignore[attr-defined]
    assert ",'=1+1" in body
    sheet = b"".join(client.get("/deployments.xlsx?kind=rollback").streaming_content)  # type: ignore[attr-defined]
    (cell,) = [each for row in openpyxl.load_workbook(io.BytesIO(sheet)).active for each in row if each.value == "=1+1"]  # type: ignore[union-attr]
    assert cell.data_type == "s"


def test_neither_is_one_in_the_tables_of_incidents_and_findings(shop: Catalogue, client_for: Browser) -> None:
    client = client_for("noor")
    rows = _csv(client, "/incidents.csv?state=frozen")
    assert [(row["title"], row["reason"], row["versions_held"]) for row in rows] == [("'=cmd|calc", "'+1", "2")]
    assert rows[0]["frozen_by"] == personas.get("omar").actor.id
    sheet = b"".join(client.get("/incidents.xlsx").streaming_content)  # type: ignore[attr-defined]
    cells = [each for row in openpyxl.load_workbook(io.BytesIO(sheet)).active for each in row]  # type: ignore[union-attr]
    assert {cell.data_type for cell in cells if str(cell.value) in ("=cmd|calc", "+1")} == {"s"}
    (taken,) = _csv(client, "/findings.csv?state=taken")
    assert taken["on_record"] == '{"source": "=1+1"}'
    assert taken["sentence"] == "churn is on record here and was deleted in MLflow."
    assert (taken["still_there"], taken["times_seen"]) == ("yes", "1")


def test_the_reconciler_offers_the_table_of_what_it_shows(shop: Catalogue, client_for: Browser) -> None:
    client = client_for("noor")
    for query, offered, count in (("", "show=standing", 2), ("?show=gone", "show=gone", 1), ("?show=", "", 3)):
        page = client.get(f"/reconciler{query}").content.decode()
        assert f'href="/findings.csv?{offered}{"&amp;" if offered else ""}"' in page
        assert len(_csv(client, f"/findings.csv?{offered}")) == count


def _csv(client: Client, address: str) -> list[dict[str, str]]:
    body = b"".join(client.get(address).streaming_content).decode()  # type: ignore[attr-defined]
    return list(csv.DictReader(io.StringIO(body)))


def test_the_same_rows_give_the_same_bytes(shop: Catalogue, client_for: Browser) -> None:
    client = client_for("noor")
    for address in ("/models.csv", "/models.xlsx", "/datasets.xlsx", "/incidents.xlsx", "/findings.xlsx"):
        once, again = (b"".join(client.get(address).streaming_content) for _try in range(2))  # type: ignore[attr-defined]
        assert once == again


@pytest.mark.parametrize(
    ("name", "query", "sentence"),
    [
        ("models", "risk=awful", "awful"),
        ("models", "environment=nowhere", "There is no environment “nowhere”."),
        ("models", "state=gone", "gone"),
        ("models", "q=" + "x" * 201, "200"),
        ("models", "q=%00", "Null characters"),
        ("datasets", "region=me-central-1", "Did you mean"),
        ("datasets", "classification=secret", "secret"),
        ("datasets", "unknown=colour", "colour"),
        ("environments", "tier=moon", "moon"),
        ("environments", "region=x", "is not known"),
        ("deployments", "model=nobody", "There is no model “nobody”."),
        ("deployments", "since=yesterday", "date"),
        ("deployments", "since=2026-02-01&until=2026-01-01", "The period ends before it begins."),
        ("incidents", "state=melted", "melted"),
        ("incidents", "about=weather", "weather"),
        ("incidents", "opened_from=2026-02-01&opened_to=2026-01-01", "The period ends before it begins."),
        ("findings", "show=everything", "everything"),
        ("findings", "kind=other", "other"),
        ("findings", "environment=nowhere", "There is no environment “nowhere”."),
    ],
)
def test_a_filter_that_cannot_be_understood_is_refused_everywhere(
    catalogue: Catalogue, client_for: Browser, api_for: Api, name: str, query: str, sentence: str
) -> None:
    client = client_for("noor")
    for address in (f"{PAGE[name]}?{query}", f"/{name}.csv?{query}", f"/{name}.xlsx?{query}"):
        answer = client.get(address)
        assert answer.status_code == 400
        if "NUL" not in answer.content.decode():  # refused before any view looks
            assert sentence in answer.content.decode(), address
    assert api_for("ci").get(f"{ADDRESS[name]}?{query}").status_code == 400


def test_a_misspelt_filter_does_not_answer_everything(catalogue: Catalogue, api_for: Api) -> None:
    for name in LISTS:
        answer = api_for("ci").get(f"{ADDRESS[name]}?rissk=high")
        assert answer.status_code == 400
        assert "rissk" in answer.json()["detail"]


def test_as_of_takes_no_filters(catalogue: Catalogue, api_for: Api, client_for: Browser) -> None:
    for client, address in ((api_for("ci"), "/api/v1/deployments/history"), (client_for("noor"), "/deployments")):
        answer = client.get(f"{address}?as_of=2026-01-01T00:00:00Z&model=credit-scoring")
        assert answer.status_code == 400
        assert "leave the filters out" in answer.content.decode()


def test_pages_keep_the_search(catalogue: Catalogue, client_for: Browser) -> None:
    for number in range(60):
        datasets.register_dataset(f"part-{number}", classification="none", subjects=[], regions_held=[], by=BY)
    shown = client_for("noor").get("/datasets?q=part&classification=none").content.decode()
    assert "?q=part&amp;classification=none&amp;page=2" in shown
    assert "60 match." in shown
    assert "/datasets.csv?q=part&amp;classification=none" in shown
    assert "Nothing matches." in client_for("noor").get("/datasets?q=nothing").content.decode()


def test_the_table_needs_the_right_to_read(catalogue: Catalogue) -> None:
    stranger = accounts.create_user(
        username="stranger", display_name="S", kind="person", roles=(), password=personas.PASSWORD, by=personas.SET_UP
    )
    nobody = Client()
    nobody.force_login(stranger)
    for name in LISTS:
        for kind in ("csv", "xlsx"):
            assert Client().get(f"/{name}.{kind}").status_code == 302
            assert nobody.get(f"/{name}.{kind}").status_code == 403


def test_incidents_are_found_by_every_kind_that_they_can_be_about() -> None:
    assert [kind for kind, _word in IncidentFilter.KINDS] == list(roots.KINDS)
