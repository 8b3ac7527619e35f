"""Every filter of the log finds what it names, counts and exports as many; entries say what changed."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.db import connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext

from audit import log, queries, searching, stories
from audit.changes import changed
from audit.models import Event
from audit.queries import Filters
from governance import accounts, permits, promotions
from registry import aliases, datasets, deployments, environments, versions
from tests import personas
from tests.audit.story import LAYLA, execute
from tests.conftest import CommittedDatabase
from tests.governance import scene
from tests.registry.catalogue import BY

Browser = Callable[[str], Client]
#: Changes whose values are secret or nobody's business: the entry says that they changed, and nothing else.
SECRET = {Event.PASSWORD_CHANGED.value}


@pytest.fixture
def bank(committed_db: CommittedDatabase, sequence: Callable[[], None]) -> scene.Bank:
    """A promotion that two people signed, and everything around it, numbered."""
    made = scene.build()
    scene.approved(made)
    deployments.record_deploy(made.uae, made.old, by=BY)
    aliases.move(made.model, "champion", made.old, by=BY)
    aliases.move(made.model, "champion", made.new, reason="Better.", by=scene.actor("layla"))
    sequence()
    return made


def _append(count: int, **facts: str) -> None:
    with transaction.atomic():
        for _number in range(count):
            log.append(Event.OUT_OF_BAND_OBSERVED, "story:x", facts=facts, by=LAYLA)


def test_each_filter_finds_the_entries_that_it_names(bank: scene.Bank, client_for: Browser) -> None:
    every = list(queries.stream())
    layla = scene.actor("layla").id
    expected: dict[str, Callable[[queries.EntryRow], bool]] = {
        "model=credit-scoring": lambda row: row.model == "credit-scoring",
        "environment=prod-uae": lambda row: row.environment == "prod-uae",
        "event=promotion.*": lambda row: row.event.startswith("promotion."),
        f"actor={layla}": lambda row: row.actor_id == layla,
        "subject=promotion:*": lambda row: row.subject.startswith("promotion:"),
        f"actor={layla}&model=credit-scoring": lambda row: row.actor_id == layla and row.model == "credit-scoring",
        "environment=prod-uae&event=signoff.*": lambda row: (
            row.environment == "prod-uae" and row.event.startswith("signoff.")
        ),
        "model=nobody": lambda row: False,
    }
    client = client_for("noor")
    for query, holds in expected.items():
        context = client.get(f"/log?{query}").context
        wanted = [row.index for row in every if holds(row)]
        assert [row.index for row in context["page"].rows if row.index is not None] == wanted[:50], query
        assert (context["counted"].entries, context["counted"].exact) == (len(wanted), True), query
        assert len(client.get(f"/log.csv?{query}").getvalue().splitlines()) == len(wanted) + 1, query
    about = {row.event for row in every if row.model == "credit-scoring" and row.environment == "prod-uae"}
    assert {"promotion.requested", "signoff.given", "decision.recorded", "deployment.recorded"} <= about


@pytest.mark.usefixtures("committed_db")
def test_two_common_values_that_hardly_meet_are_searched_in_steps(
    sequence: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    with transaction.atomic():
        log.append(Event.OUT_OF_BAND_OBSERVED, "story:x", facts={"version": "version:a/1"}, by=LAYLA)
    _append(40, version="version:b/1")
    with transaction.atomic():
        for _number in range(30):
            log.append(Event.MODEL_CHANGED, "version:a/1", by=LAYLA)
    sequence()
    monkeypatch.setattr(searching, "SCAN", 10)
    filters = Filters(model="a", event="out_of_band.observed")
    found, before, steps = [], None, 0
    while True:
        page = queries.search(filters, before=before)
        found += page.rows
        steps += 1
        if page.older is None:
            break
        assert page.searched_to is not None
        before = page.older
    assert [row.facts["version"] for row in found] == ["version:a/1"]
    assert steps > 2
    assert [row.index for row in queries.stream(filters)] == [found[0].index]
    assert not queries.count(filters).exact
    assert queries.count(filters, exact=True).entries == 1
    assert queries.count(Filters(model="b")) == queries.Counted(10, exact=False)
    assert queries.count(Filters(model="b"), exact=True).entries == 40


def test_consecutive_periods_share_no_entry_and_miss_none(bank: scene.Bank) -> None:
    every = list(queries.stream())
    moment = every[len(every) // 2].recorded_at
    earlier = [row.index for row in queries.stream(Filters(until=moment))]
    later = [row.index for row in queries.stream(Filters(since=moment))]
    assert [*later, *earlier] == [row.index for row in every]
    assert earlier
    assert later


def test_an_alias_tells_from_which_version_it_moved(bank: scene.Bank, client_for: Browser) -> None:
    row = queries.search(Filters(event="alias.moved"), limit=1).rows[0]
    client = client_for("noor")
    with CaptureQueriesContext(connection) as asked:
        page = client.get(f"/log/{row.index}").content.decode()
    assert "moved the alias champion of credit-scoring from version 13 to version 14" in page
    assert "<bdi>version:credit-scoring/13</bdi>" in page
    assert "Sealed" in page
    assert len(asked) <= 17, [each["sql"][:80] for each in asked]


def test_an_entry_names_its_decision_and_the_sign_offs_under_it(bank: scene.Bank, client_for: Browser) -> None:
    row = queries.search(Filters(event="promotion.approved"), limit=1).rows[0]
    page = client_for("noor").get(f"/log/{row.index}")
    assert [each.actor_name for each in page.context["around"].signoffs] == ["Omar Nasser", "Layla Haddad"]
    assert f"/decisions/{row.facts['decision']}" in page.content.decode()
    assert "(from in_review to approved)" in page.content.decode()


@pytest.mark.usefixtures("committed_db")
def test_an_entry_is_sealed_only_under_a_checkpoint_and_witnessed_only_by_a_quorum(
    sequencer: object, client_for: Browser
) -> None:
    _append(1)
    sequencer.integrate()  # type: ignore[attr-defined]
    client = client_for("noor")
    assert "Not sealed yet" in client.get("/log").content.decode()
    assert "Waiting for its checkpoint" in client.get("/log/2").content.decode()
    sequencer.sign()  # type: ignore[attr-defined]
    page = client.get("/log/2").content.decode()
    assert "Sealed" in page
    assert "by nobody outside" in page
    assert "Not sealed yet" not in client.get("/log?event=out_of_band.observed").content.decode()


def test_every_change_of_a_governed_row_says_before_and_after(
    committed_db: CommittedDatabase, sequence: Callable[[], None]
) -> None:
    tables = [row[0] for row in execute(committed_db.admin_url, _GOVERNED)]
    execute(committed_db.admin_url, *_WATCH, *(_WATCH_ONE.format(table=table) for table in tables))
    bank = scene.build()
    promotion = scene.approved(bank)
    scene.request(bank, place=bank.frankfurt)
    with transaction.atomic():
        permit, secret = permits.issue(scene.latest(promotion), by=BY) if scene.latest(promotion).allows else (None, "")
        if permit is not None:
            permits.consume(permits.present(scene.latest(promotion), secret, environment="prod-uae"), by=BY)
    promotions.withdraw(scene.request(bank, place=bank.staging).pk, reason="No.", by=scene.actor("yusuf"))
    deployments.record_deploy(bank.uae, bank.old, by=BY)
    deployments.record_deploy(bank.uae, bank.new, by=BY)
    deployments.end_deployment(deployments.serving(bank.uae)[0].deployment, by=BY)
    aliases.move(bank.model, "champion", bank.old, by=BY)
    aliases.move(bank.model, "champion", bank.new, by=BY)
    versions.change_model(bank.model, owner="Layla Haddad", by=BY)
    datasets.state_dataset(
        bank.loans, {"classification": "sensitive"}, may_confirm=lambda: None, reason="Assessed again.", by=BY
    )
    environments.change_environment(bank.staging, perimeter="EU", by=BY)
    user = personas.get("dana")
    accounts.grant_role(user, "auditor", by=BY)
    accounts.revoke_role(user, "auditor", by=BY)
    accounts.deactivate(user, by=BY)
    silent = [
        (event, key)
        for key, event, data in execute(committed_db.admin_url, _CHANGES)
        if event not in SECRET and not stories.changes(data["facts"]) and not _privately(data["commit"])
    ]
    assert silent == []
    seen = {event for _key, event, _data in execute(committed_db.admin_url, _CHANGES)}
    assert {"alias.moved", "role.granted", "promotion.withdrawn", "deployment.ended", "dataset.changed"} <= seen


def _privately(commitments: dict[str, str]) -> bool:
    return any(name.startswith("before.") for name in commitments)


_GOVERNED = "SELECT DISTINCT tgrelid::regclass::text FROM pg_trigger WHERE tgname = 'governed_entry'"
_WATCH = (
    "CREATE TABLE public.watched (key text, txid xid8)",
    "GRANT INSERT ON public.watched TO PUBLIC",
    """CREATE FUNCTION public.watch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
       INSERT INTO public.watched VALUES (TG_TABLE_NAME || '/' || NEW.id, pg_current_xact_id()); RETURN NULL; END $$""",
)
_WATCH_ONE = "CREATE TRIGGER watch AFTER UPDATE ON {table} FOR EACH ROW EXECUTE FUNCTION public.watch()"
# An object that was made and changed in one transaction has an entry that registers it; the other says the change.
_CHANGES = """
    SELECT w.key, e.data ->> 'event', e.data FROM (SELECT DISTINCT key, txid FROM public.watched) w
    JOIN LATERAL (SELECT convert_from(entry, 'UTF8')::jsonb AS data FROM audit.entry
                  WHERE object_key = w.key AND txid = w.txid ORDER BY id DESC LIMIT 1) e ON true
"""


def test_what_a_change_did_is_what_differs() -> None:
    assert changed({"a": 1, "b": 2}, {"a": 1, "b": 3, "c": 4}) == {"before": {"b": 2}, "after": {"b": 3, "c": 4}}
    assert stories.sentence("environment.changed", "environment:x", changed({"tier": "dr"}, {"tier": "prod"})) == (
        "changed an environment: tier from dr to prod"
    )
