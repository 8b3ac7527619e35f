"""Erasing a person: who may, what goes, what stays, and what happens when it is interrupted."""

from __future__ import annotations

import io
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import psycopg
import pytest
from django.core.management import CommandError, call_command
from django.db import IntegrityError
from django.test import Client
from django.utils import timezone

from audit import erasure as log_erasure
from audit import queries, subject_keys
from audit.refusals import BadInput, Conflict, NotKnown, NotPermitted, Refusal
from governance import accounts, erasure, evidence, promotions, tokens
from governance.models import ApiToken, Promotion, SignOff, User
from governance.tasks import finish_erasures
from registry import deployments, versions
from registry.models import Deployment, Model, ModelVersion
from tests import personas
from tests.conftest import CommittedDatabase
from tests.governance import scene

NAMES = ("Yusuf", "yusuf", "Rahman")


def erase(name: str = "yusuf", by: str = "amir", **changes: Any) -> User:
    """Erase that persona the way a person at the keyboard does."""
    given = {"reason": "Request 12 of 3 May", "no_legal_hold": True, "password": personas.PASSWORD} | changes
    return erasure.erase_with_password(personas.get(name).uuid, **given, user=personas.get(by))


@pytest.fixture
def world(committed_db: CommittedDatabase) -> scene.Bank:
    """Yusuf trained, owned, requested, withdrew and deployed; Layla signed what he asked for."""
    bank = scene.build()
    versions.change_model(bank.model, owner="Yusuf Rahman", by=scene.SET_UP)
    promotion = scene.request(bank)
    scene.sign(promotion, "layla", "ml_lead")
    promotions.withdraw(promotion.pk, reason="Yusuf found a mistake", by=scene.actor("yusuf"))
    deployments.record_deploy(bank.staging, bank.old, reason="Yusuf tries it", by=scene.actor("yusuf"))
    for author in ("Yusuf Rahman", "YUSUF"):
        paper = evidence.Paper(scene.digest_of(author), "Hold-out", author, timezone.now())
        piece = evidence.record("fairness", bank.new, paper, by=scene.actor("layla"))
    evidence.withdraw(piece.reference, reason="Yusuf saw it", by=scene.actor("yusuf"))
    tokens.issue(
        personas.get("yusuf"),
        label="Yusuf's laptop",
        scopes=["audit.read"],
        lifetime=timedelta(days=1),
        by=scene.actor("yusuf"),
    )
    return bank


def _everything(database: CommittedDatabase) -> str:
    """Every row of every table that holds something, as text."""
    with psycopg.connect(database.admin_url) as own:
        tables = own.execute(
            "SELECT schemaname || '.' || quote_ident(tablename) FROM pg_tables"
            " WHERE schemaname IN ('public', 'audit') AND tablename NOT LIKE 'django_%'"
        ).fetchall()
        rows = [own.execute(f"SELECT t::text FROM {name} t").fetchall() for (name,) in tables]  # type: ignore[arg-type]
    return "\n".join(str(row[0]) for table in rows for row in table)


def test_the_name_is_nowhere_and_the_past_stays_attributed_to_the_pseudonym(
    world: scene.Bank,
    committed_db: CommittedDatabase,
    sequence: Callable[[], None],
    client_for: Callable[[str], Client],
) -> None:
    yusuf = personas.get("yusuf")
    browser = client_for("yusuf")
    assert any(name in _everything(committed_db) for name in NAMES)
    erase()
    sequence()
    found = _everything(committed_db)
    assert not [name for name in NAMES if name in found]
    account = User.objects.get(pk=yusuf.pk)
    assert (account.display_name, account.is_active, account.roles) == (yusuf.subject, False, [])
    assert not account.has_usable_password()
    assert ModelVersion.objects.get(pk=world.new.pk).trained_by == [yusuf.subject]
    assert Model.objects.get().owner == yusuf.subject
    assert Promotion.objects.get().requested_by == yusuf.subject
    assert Promotion.objects.get().reason == "(erased)"
    assert SignOff.objects.get().comment == "Checked the calibration curve."
    assert Deployment.objects.get().reason == "(erased)"
    assert ApiToken.objects.get(owner=account).state() == "revoked"
    assert browser.get("/account").status_code == 302
    (entry,) = queries.search(queries.Filters(event="user.erased")).rows
    assert (entry.actor_name, entry.reason) == ("Amir Khan", "Request 12 of 3 May")
    assert entry.facts["versions"] == 2
    done = log_erasure.newest(yusuf.subject)
    assert done is not None
    assert done.index is not None
    assert done.values > 10


def test_who_was_erased_still_may_not_sign_what_they_trained(world: scene.Bank) -> None:
    yusuf = personas.get("yusuf").subject
    before = scene.decide(scene.request(world, by="jonas")).facts["version"]["trained_by"]
    promotions.withdraw(Promotion.objects.latest("pk").pk, reason="Once more", by=scene.actor("jonas"))
    erase()
    after = scene.decide(scene.request(world, by="jonas")).facts["version"]["trained_by"]
    assert before == after == [yusuf]


def test_what_is_open_is_ended_before_its_author_is_erased(world: scene.Bank) -> None:
    promotion = scene.request(world)
    scene.sign(promotion, "layla", "ml_lead")
    for name in ("yusuf", "layla"):
        with pytest.raises(Conflict, match=f"promotion:{promotion.pk}") as refused:
            erase(name)
        assert refused.value.code == "erasure.open"
    assert User.objects.get(username="yusuf").is_active
    rows = queries.search(queries.Filters(event="user.erasure_refused")).rows
    assert [row.facts["rule"] for row in rows] == ["erasure.open", "erasure.open"]


def test_who_may_not_erase_is_told_why(world: scene.Bank) -> None:
    cases: list[tuple[dict[str, Any], type[Refusal], str]] = [
        ({"by": "layla"}, NotPermitted, "account.erase"),
        ({"by": "noor"}, NotPermitted, "account.erase"),
        ({"name": "amir"}, NotPermitted, "erasure.own"),
        ({"name": "dana", "by": "dana"}, NotPermitted, "erasure.own"),
        ({"name": "amir", "by": "dana"}, Conflict, "account.last_administrator"),
        ({"name": "ci"}, BadInput, "erasure.service"),
        ({"reason": " "}, BadInput, "erasure.incomplete"),
        ({"reason": "Yusuf asked for it"}, BadInput, "erasure.incomplete"),
        ({"no_legal_hold": False}, BadInput, "erasure.incomplete"),
        ({"password": "wrong"}, NotPermitted, "session.reauthentication"),
    ]
    for changes, kind, code in cases:
        with pytest.raises(kind) as refused:
            erase(**changes)
        assert code in refused.value.code, (changes, refused.value.sentence)
    late, amir = timezone.now() - timedelta(minutes=6), scene.actor("amir")
    yusuf = personas.get("yusuf").uuid
    with pytest.raises(NotPermitted, match="password again"):
        erasure.erase(
            yusuf,
            reason="x",
            no_legal_hold=True,
            reauthenticated_at=late,
            by=amir,
        )
    assert User.objects.get(username="yusuf").erased_at is None
    through_token = tokens.authenticate(personas.token_of("sami"))
    with pytest.raises(NotPermitted):
        erasure.erase_with_password(
            personas.get("yusuf").uuid, reason="x", no_legal_hold=True, password=personas.PASSWORD, user=through_token
        )


def test_an_interrupted_erasure_is_finished_by_the_clock(world: scene.Bank, settings: Any) -> None:
    yusuf = personas.get("yusuf")
    url, settings.ERASER_DATABASE_URL = settings.ERASER_DATABASE_URL, "postgresql://nobody@127.0.0.1:1/nothing"
    erase()
    assert log_erasure.newest(yusuf.subject) is None
    assert finish_erasures() == 1
    settings.ERASER_DATABASE_URL = url
    assert finish_erasures() == 0
    done = log_erasure.newest(yusuf.subject)
    assert done is not None
    entry = queries.entry_by_event_id(done.event_id)
    order = queries.search(queries.Filters(event="user.erased")).rows[0]
    assert entry is not None
    assert (entry.actor_name, entry.facts["order"]) == ("erasure", str(order.event_id))
    assert [row.reason for row in queries.history(world.new.subject) if row.event == "version.registered"] == [""]
    assert finish_erasures() == 0
    assert log_erasure.newest(yusuf.subject) == done


def test_without_the_keys_nothing_is_erased(world: scene.Bank, settings: Any) -> None:
    settings.SUBJECT_KEYS_DATABASE_URL = "postgresql://nobody@127.0.0.1:1/nothing"
    subject_keys.forget()
    with pytest.raises(subject_keys.KeysUnavailable):
        erase()
    subject_keys._connection.failed_at = None
    assert User.objects.get(username="yusuf").is_active


def test_a_person_is_erased_on_their_page(world: scene.Bank, client_for: Callable[[str], Client]) -> None:
    yusuf = personas.get("yusuf")
    path = f"/accounts/{yusuf.uuid}"
    assert client_for("layla").get("/accounts").status_code == 403
    assert client_for("layla").post(path, {}).status_code == 403
    dana = client_for("dana")
    assert "Yusuf Rahman" in dana.get("/accounts").content.decode()
    assert "Erase this person" in dana.get(path).content.decode()
    form = {"reason": "Request 12", "password": personas.PASSWORD}
    refused = dana.post(path, form)
    assert refused.status_code == 400
    assert "no dispute requires" in refused.content.decode()
    assert dana.post(path, form | {"no_legal_hold": "on"}).status_code == 302
    shown = dana.get(path).content.decode()
    assert "Yusuf" not in shown
    assert "private values were erased" in shown
    assert yusuf.subject in dana.get("/accounts").content.decode()
    assert dana.get(f"/accounts/{personas.get('dana').uuid}").status_code == 200
    assert dana.get("/accounts/00000000-0000-0000-0000-000000000000").status_code == 404


def test_a_person_is_erased_over_the_api_with_a_session_and_a_password(
    world: scene.Bank, client_for: Callable[[str], Client], api_for: Callable[[str], Client]
) -> None:
    path = f"/api/v1/accounts/{personas.get('yusuf').uuid}/erasure"
    body = {"reason": "Request 12", "no_legal_hold": True, "password": personas.PASSWORD}
    assert api_for("ci").post(path, body, content_type="application/json").status_code == 403
    amir = client_for("amir")
    assert amir.get(path).json()["state"] == "kept"
    assert amir.post(path, {}, content_type="application/json").status_code == 400
    answer = amir.post(path, body, content_type="application/json")
    assert answer.status_code == 202
    assert answer.json()["state"] == "erased"
    assert answer.json()["values"] > 10
    unknown = "/api/v1/accounts/00000000-0000-0000-0000-000000000000/erasure"
    assert amir.post(unknown, body, content_type="application/json").status_code == 404


def test_a_person_is_erased_by_command(world: scene.Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    yusuf = personas.get("yusuf")
    given = {"subject": yusuf.subject, "by": "amir", "reason": "Request 12", "no_legal_hold": True}
    monkeypatch.setattr("sys.stdin", io.StringIO("wrong\n"))
    with pytest.raises(CommandError, match="password is wrong"):
        call_command("audit_erase", **given)
    with pytest.raises(CommandError, match="user:<uuid>"):
        call_command("audit_erase", **given | {"subject": "yusuf"})
    with pytest.raises(CommandError, match="no account"):
        call_command("audit_erase", **given | {"by": "nobody"})
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{personas.PASSWORD}\n"))
    said = io.StringIO()
    call_command("audit_erase", **given, stdout=said)
    assert f"{yusuf.subject} is erased" in said.getvalue()
    with pytest.raises(NotKnown):
        erasure.erase(
            UUID(int=0),
            reason="x",
            no_legal_hold=True,
            reauthenticated_at=timezone.now(),
            by=scene.actor("amir"),
        )


def test_the_database_keeps_an_erased_account_powerless(world: scene.Bank) -> None:
    account = erase()
    with pytest.raises(Conflict, match="was erased"):
        accounts.set_password(account, personas.PASSWORD, by=scene.actor("amir"))
    with pytest.raises(Conflict, match="was erased"):
        accounts.grant_role(account, "ml_lead", by=scene.actor("amir"))
    with pytest.raises(IntegrityError, match="user_erased_may_nothing"):
        User.objects.filter(pk=account.pk).update(is_active=True)
