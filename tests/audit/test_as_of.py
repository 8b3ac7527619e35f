"""``?as_of=`` answers from the log; the log is enough to say everything that the tables say."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from audit import as_of
from audit.models import Event
from audit.refusals import BadInput, Refused
from governance import packs, policies
from governance.as_of import packs_at, promotions_at
from governance.models import PolicyPack, Promotion
from registry import aliases, deployments, environments, versions
from registry.as_of import registry_at
from registry.models import Alias, Deployment, Environment, Model, ModelVersion
from tests.governance import scene
from tests.registry import catalogue
from tests.registry.catalogue import BY, Catalogue

Browser = Callable[[str], Client]
#: Pages and how many queries each may ask about the past, those of every page included.
PAGES = {
    "/": 12,
    "/models/credit-scoring": 9,
    "/environments/prod-uae": 9,
    "/deployments": 8,
    "/policies": 8,
    "/policies/ksa-pdpl": 10,
    "/log": 15,
}
READS = (
    "/api/v1/models/credit-scoring",
    "/api/v1/environments/prod-uae",
    "/api/v1/environments/prod-uae/serving",
    "/api/v1/deployments/history",
    "/api/v1/log/entries",
    "/api/v1/overview",
    "/api/v1/policies",
    "/api/v1/policies/ksa-pdpl",
)


def now() -> str:
    """This moment, as a link carries it."""
    return datetime.now(UTC).isoformat().replace("+00:00", "Z")


@pytest.fixture
def world(committed_db: object, sequence: Callable[[], None]) -> tuple[Catalogue, str]:
    """The small registry, numbered, and a moment after which it changed in every way."""
    made = catalogue.build()
    packs.load_shipped()
    sequence()
    before = now()
    aliases.move(made.first.model, "champion", made.first, by=BY)
    aliases.move(made.first.model, "champion", made.second, by=BY)
    versions.change_model(made.first.model, title="Credit scoring II", risk="limited", risk_reason="Reviewed.", by=BY)
    environments.change_environment(made.uae, log_sinks=["azure:uaecentral"], by=BY)
    deployments.record_deploy(made.uae, made.second, by=BY)
    sequence()
    return made, before


@pytest.mark.usefixtures("committed_db")
def test_the_fold_of_the_whole_log_is_what_the_tables_say(sequence: Callable[[], None]) -> None:
    bank = scene.build()
    promotion = scene.approved(bank)
    scene.request(bank, place=bank.frankfurt)
    deployments.record_deploy(bank.uae, bank.old, by=BY)
    deployments.record_deploy(bank.uae, bank.new, "canary", weight=20, by=BY)
    deployments.record_rollback(bank.uae, bank.old, reason="Errors doubled.", incident="INC-7", by=BY)
    aliases.move(bank.model, "champion", bank.old, by=BY)
    aliases.move(bank.model, "champion", bank.new, by=BY)
    environments.change_environment(bank.staging, regions_served=["azure:uaecentral"], by=BY)
    versions.change_model(bank.model, purpose="Decides on loans.", by=BY)
    sequence()
    then = as_of.asked(now())
    assert then is not None
    told = registry_at(then)
    assert {name: state.facts["purpose"] for name, state in told.models.items()} == dict(
        Model.objects.values_list("name", "purpose")
    )
    assert {(row.label, row.digest, row.run_id) for row in told.versions} == {
        (row.label, row.digest, row.run_id) for row in ModelVersion.objects.select_related("model")
    }
    assert told.aliases == {
        (row.model.name, row.name): row.version.label for row in Alias.objects.select_related("version__model")
    }
    fields = ("name", "tier", "perimeter", "regions", "log_sinks")
    assert {slug: [state.facts[each] for each in fields] for slug, state in told.environments.items()} == {
        row.slug: [getattr(row, each) for each in fields] for row in Environment.objects.all()
    }
    assert [_line(row) for row in told.deployments] == [
        (row.version.label, row.environment.slug, row.kind, row.strategy, row.weight, row.digest, row.since, row.until)
        for row in Deployment.objects.with_names().order_by("pk")
    ]
    assert [(each.deployment.version, each.share) for each in told.serving()] == [
        (each.version.label, each.share) for each in deployments.serving(bank.uae)
    ]
    assert [(row.number, row.state, row.round) for row in promotions_at(then)] == list(
        Promotion.objects.order_by("pk").values_list("pk", "state", "round")
    )
    assert promotion.state == "approved"
    assert {(row.slug, row.version, row.digest, row.state) for row in packs_at(then)} == set(
        PolicyPack.objects.values_list("slug", "version", "digest", "state")
    )


def _line(row: object) -> tuple[object, ...]:
    told = [getattr(row, name) for name in ("version", "environment", "kind", "strategy", "weight", "digest")]
    times = [datetime.fromisoformat(each) if each else None for each in (row.since, row.until)]  # type: ignore[attr-defined]
    return (*told, *times)


def test_pages_show_what_was_and_not_what_came_later(world: tuple[Catalogue, str], client_for: Browser) -> None:
    _made, before = world
    client = client_for("noor")
    model = client.get("/models/credit-scoring", {"as_of": before}).content.decode()
    assert "Credit scoring II" not in model
    assert "champion" not in model
    environment = client.get("/environments/prod-uae", {"as_of": before}).content.decode()
    assert "credit-scoring/1 served 100 % of the traffic." in environment
    assert "azure:uaecentral" not in environment
    assert "credit-scoring/2" not in environment
    later = client.get("/environments/prod-uae", {"as_of": now()}).content.decode()
    assert "credit-scoring/2 served 100 % of the traffic." in later
    assert "azure:uaecentral" in later


def test_a_page_about_the_past_begins_with_its_moment_and_changes_nothing(
    world: tuple[Catalogue, str], client_for: Browser
) -> None:
    _made, before = world
    client = client_for("layla")
    for path, budget in PAGES.items():
        with CaptureQueriesContext(connection) as asked:
            answer = client.get(path, {"as_of": before})
        assert answer.status_code == 200, answer.content[:500]
        page = answer.content.decode()
        main = page[page.index("<main") : page.index("</main>")]
        lede = main[main.index('class="lede"') :]
        assert lede.index("As of ") < 40, path
        assert 'href="/log/0"' in lede[:600]
        assert 'method="post"' not in main
        assert len(asked) <= budget, (path, [each["sql"][:90] for each in asked])


def test_the_api_answers_for_the_same_moment(world: tuple[Catalogue, str], api_for: Browser) -> None:
    made, before = world
    client = api_for("ci")
    for path in READS:
        then, later = client.get(path, {"as_of": before}), client.get(path, {"as_of": now()})
        assert then.status_code == later.status_code == 200, then.content
        assert then.json() != later.json(), path
    serving = "/api/v1/environments/prod-uae/serving"
    assert [row["version"] for row in client.get(serving, {"as_of": before}).json()["serving"]] == [made.first.subject]
    assert [row["version"] for row in client.get(serving, {"as_of": now()}).json()["serving"]] == [made.second.subject]


def test_the_api_says_which_policies_were_in_force_and_what_served(
    world: tuple[Catalogue, str], sequence: Callable[[], None], api_for: Browser
) -> None:
    made, before = world
    client = api_for("ci")
    text = policies.shipped_packs()["ksa-pdpl"].replace("version: 1", "version: 2", 1)
    scene.in_force(packs.draft(text, by=scene.actor("omar")), by="layla", reason="A clearer text.")
    sequence()
    for asked, in_force, states in (({"as_of": before}, 1, ["active"]), ({}, 2, ["active", "retired"])):
        answer = client.get("/api/v1/policies/ksa-pdpl", asked).json()
        assert (answer["in_force"], [row["state"] for row in answer["versions"]]) == (in_force, states)
        assert all(row["entry"] <= answer["through_entry"] for row in answer["versions"])
        listed = [row for row in client.get("/api/v1/policies", asked).json()["policies"] if row["slug"] == "ksa-pdpl"]
        assert listed == answer["versions"]
    then = client.get("/api/v1/overview", {"as_of": before}).json()
    later = client.get("/api/v1/overview").json()
    assert [row["version"] for row in then["serving"]] == [made.first.subject]
    assert [row["version"] for row in later["serving"]] == [made.second.subject]
    assert ("ksa-pdpl", 1) in {(row["slug"], row["version"]) for row in then["policies_in_force"]}
    assert ("ksa-pdpl", 2) in {(row["slug"], row["version"]) for row in later["policies_in_force"]}
    assert client.get("/api/v1/policies/unknown").status_code == 404


@pytest.mark.parametrize(
    ("asked", "status", "words"),
    [
        ("yesterday", 400, "is not a moment"),
        ("2026-13-45T00:00:00Z", 400, "is not a moment"),
        ("2126-01-01T00:00:00Z", 422, "has not come yet"),
        ("1999-12-31T23:59:59Z", 422, "before the first entry"),
    ],
)
@pytest.mark.django_db
def test_a_moment_that_cannot_be_answered_is_refused_with_a_sentence(
    asked: str, status: int, words: str, client_for: Browser, api_for: Browser
) -> None:
    person, machine = client_for("noor"), api_for("ci")
    for path in (*PAGES, *READS):
        answer = (machine if path.startswith("/api") else person).get(path, {"as_of": asked})
        assert (answer.status_code, words in answer.content.decode()) == (status, True), path


def test_what_did_not_exist_yet_is_not_known(
    world: tuple[Catalogue, str], client_for: Browser, api_for: Browser
) -> None:
    _made, before = world
    versions.register_model("later", title="L", owner="o", purpose="p", risk="high", risk_reason="r", by=BY)
    assert client_for("noor").get("/models/later", {"as_of": before}).status_code == 404
    assert api_for("ci").get("/api/v1/models/later", {"as_of": before}).status_code == 404
    assert client_for("noor").get("/policies/ksa-pdpl", {"as_of": before}).status_code == 200
    assert client_for("noor").get("/policies/unknown", {"as_of": before}).status_code == 404


def test_a_policy_text_that_is_not_the_one_of_the_log_is_not_shown(
    world: tuple[Catalogue, str], client_for: Browser, committed_db: object
) -> None:
    from tests.audit.story import as_attacker

    _made, before = world
    assert "What it required" in client_for("omar").get("/policies/ksa-pdpl", {"as_of": before}).content.decode()
    admin: str = committed_db.admin_url  # type: ignore[attr-defined]
    as_attacker(admin, "UPDATE governance_policypack SET text = replace(text, 'SA', 'AE') WHERE slug = 'ksa-pdpl'")
    page = client_for("omar").get("/policies/ksa-pdpl", {"as_of": before}).content.decode()
    assert "The text is not shown" in page


def test_a_fold_forgets_what_was_removed_and_lets_later_facts_win() -> None:
    def told(index: int, event: Event, **facts: object) -> as_of.Told:
        return as_of.Told(1, index, event.value, "model:a", "registry_model/1", "system:x", datetime.now(UTC), facts)

    began, changed = told(0, Event.MODEL_REGISTERED, title="A"), told(1, Event.MODEL_CHANGED, title="B", before={})
    (state,) = as_of.fold([began, changed]).values()
    assert (state.facts, state.began.index, state.last.index) == ({"title": "B"}, 0, 1)
    assert as_of.fold([began, changed, told(2, Event.RECORD_REMOVED)]) == {}


@pytest.mark.usefixtures("committed_db")
def test_nothing_is_known_of_a_moment_before_the_log(sequence: Callable[[], None]) -> None:
    sequence()
    with pytest.raises(Refused):
        as_of.asked("2020-01-01T00:00:00Z")
    with pytest.raises(Refused):
        as_of.asked((datetime.now(UTC) + timedelta(hours=1)).isoformat())
    with pytest.raises(BadInput):
        as_of.asked("2026-11-22")
    assert as_of.asked("") is None
