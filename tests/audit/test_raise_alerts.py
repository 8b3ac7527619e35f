"""Alerts: once for each incident, a notice when it is over, and nobody forgotten while mail is down."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest
from django.core import mail
from django.test import Client

from audit import checks, queries
from audit.publisher import Publisher
from config.stack import database
from tests.audit.outside import Answer, Cosigner, serving
from tests.audit.story import append, as_attacker, execute
from tests.conftest import CommittedDatabase

SECRET = "whsec_" + base64.b64encode(b"s" * 32).decode()


@pytest.fixture(autouse=True)
def _told_by_mail(settings: Any) -> None:
    settings.ALERT_EMAIL = ["oncall@bank.example"]


def _check(outcome: str, finding: str = "") -> None:
    checks._store("self-check", outcome, 3, "", finding, [], queries.timezone.now())


def _subjects() -> list[str]:
    return [message.subject for message in mail.outbox]


def test_tampering_is_told_once_and_its_end_too(sequence: Callable[[], None], publisher: Publisher) -> None:
    append()
    sequence()
    _check("verified")
    publisher.run_once()
    assert mail.outbox == []
    _check("failed", "entry 2 was changed")
    publisher.run_once()
    publisher.run_once()
    _check("failed", "entry 1 was changed too")
    publisher.run_once()
    assert len(mail.outbox) == 1
    assert "alert:tampering" in mail.outbox[0].subject
    assert "entry 2 was changed" in mail.outbox[0].body
    assert mail.outbox[0].to == ["oncall@bank.example"]
    _check("unknown")
    publisher.run_once()
    assert len(mail.outbox) == 1
    _check("verified")
    publisher.run_once()
    publisher.run_once()
    assert len(mail.outbox) == 2
    assert "gone" in mail.outbox[1].subject
    told = list(queries.history("alert:tampering"))
    assert [(row.event, row.actor_id) for row in told] == [
        ("alert.resolved", "system:alerts"),
        ("alert.raised", "system:alerts"),
    ]
    assert told[1].facts == {"finding": "entry 2 was changed"}


def test_a_real_change_of_the_database_ends_in_a_mail(
    committed_db: CommittedDatabase, sequence: Callable[[], None], publisher: Publisher
) -> None:
    append(3)
    sequence()
    as_attacker(committed_db.admin_url, "UPDATE audit.event SET subject = 'model:other' WHERE leaf_index = 3")
    outcome = checks.self_check()
    assert outcome == "failed", checks.newest()
    publisher.run_once()
    assert "alert:tampering" in _subjects()[0]
    assert "3" in mail.outbox[0].body


def test_an_entry_without_checkpoint_for_a_minute_is_told_and_its_sealing_too(
    committed_db: CommittedDatabase, sequence: Callable[[], None], publisher: Publisher
) -> None:
    sequence()
    append()
    publisher.run_once()
    assert mail.outbox == []
    as_attacker(committed_db.admin_url, "UPDATE audit.entry SET created_at = created_at - interval '61 seconds'")
    publisher.run_once()
    publisher.run_once()
    assert len(mail.outbox) == 1
    assert "alert:unsealed" in mail.outbox[0].subject
    sequence()
    publisher.run_once()
    assert len(mail.outbox) == 2


def test_a_witness_that_refuses_is_told_and_an_outage_of_it_is_not(
    sequence: Callable[[], None], publisher: Publisher, follow: Callable[..., None]
) -> None:
    cosigner = Cosigner()
    moods = iter([Answer(503), Answer(403)])

    def mood(got: Any) -> Answer:
        return next(moods, None) or cosigner.answers(got)

    def patient() -> None:
        for patience in publisher._submission._patience.values():
            patience.next_try = 0
        publisher.run_once()

    sequence()
    with serving(mood) as server:
        follow({"w": (cosigner.vkey, server.url)})
        publisher.run_once()
        assert not [subject for subject in _subjects() if "witness" in subject]
        patient()
        assert [subject for subject in _subjects() if "alert:witness/w" in subject]
        count = len(mail.outbox)
        patient()
        told = _subjects()[count:]
    assert {subject.rpartition("(")[2] for subject in told} == {"alert:witness/w)", "alert:freshness)"}
    assert all("gone" in subject for subject in told)


def test_an_incident_survives_a_restart_without_being_told_again(
    committed_db: CommittedDatabase, sequence: Callable[[], None], publisher: Publisher
) -> None:
    sequence()
    _check("failed", "entry 1 was changed")
    publisher.run_once()
    publisher.close()
    again = Publisher(committed_db.url(database.SEQUENCER))
    again.run_once()
    assert len(mail.outbox) == 1
    assert execute(committed_db.url(), "SELECT state FROM audit.alert") == [("raised",)]
    again.close()


def test_a_mail_server_that_is_down_stops_nothing_and_hears_of_it_later(
    sequence: Callable[[], None], publisher: Publisher, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 1
    sequence()
    _check("failed", "entry 1 was changed")
    assert publisher.run_once() == []
    assert [row.event for row in queries.history("alert:tampering")] == ["alert.raised"]
    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
    publisher.run_once()
    assert mail.outbox == []
    publisher._channels["mail"].next_try = 0
    publisher.run_once()
    assert len(mail.outbox) == 1


def test_a_webhook_is_told_signed_and_once_although_mail_fails(
    sequence: Callable[[], None], publisher: Publisher, settings: Any
) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 1
    sequence()
    _check("failed", "entry 1 was changed")
    with serving(lambda got: Answer(200)) as hook:
        settings.ALERT_WEBHOOK, settings.WEBHOOK_SECRET = hook.url, SECRET
        publisher.run_once()
        publisher.run_once()
        assert len(hook.got) == 1
        document = json.loads(hook.got[0].body)
        assert hook.got[0].headers["webhook-signature"].startswith("v1,")
    assert document["type"] == "alert.raised"
    assert document["data"]["sentence"] == "entry 1 was changed"


def test_old_news_is_not_sent_to_a_channel_that_is_set_up_later(
    committed_db: CommittedDatabase, sequence: Callable[[], None], publisher: Publisher, settings: Any
) -> None:
    settings.ALERT_EMAIL = []
    sequence()
    _check("failed", "entry 1 was changed")
    publisher.run_once()
    as_attacker(committed_db.admin_url, "UPDATE audit.alert SET at = at - interval '25 hours'")
    settings.ALERT_EMAIL = ["oncall@bank.example"]
    publisher.run_once()
    assert mail.outbox == []


def test_a_finding_with_line_feeds_cannot_write_headers_of_the_mail(
    sequence: Callable[[], None], publisher: Publisher
) -> None:
    sequence()
    _check("failed", "x\nBcc: everybody@example.org")
    publisher.run_once()
    assert "Bcc" not in mail.outbox[0].message()
    assert "\n" not in mail.outbox[0].subject


@pytest.mark.usefixtures("committed_db")
def test_the_log_page_reads_an_alert_as_a_sentence(
    sequence: Callable[[], None], publisher: Publisher, client_for: Callable[[str], Client]
) -> None:
    sequence()
    _check("failed", "entry 1 was changed")
    publisher.run_once()
    sequence()
    assert "raised an alert about the log" in client_for("noor").get("/log?subject=alert:*").content.decode()
