"""Telling people when something is wrong with the log: once for each incident, and once more when it is over.

An incident is a subject: ``alert:tampering``, ``alert:unsealed``, ``alert:freshness``, ``alert:witness/<name>`` or
``alert:<kind>`` for a place that checkpoints go to; ``alert:replay/<decision>`` is raised by who replays a decision,
``alert:review/<emergency>`` when nobody reviewed an emergency in time.
Raising and resolving are entries in the log; who was told is kept in ``audit.notice``, so neither a restart nor a mail
server that is down tells anybody twice or nobody. Sending never happens inside a transaction and its failure stops
nothing.
"""

from __future__ import annotations

import json
import logging
import smtplib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.conf import settings
from django.core.mail import EmailMessage
from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper
from django.utils.translation import gettext as _

from audit import checks, health, published
from audit.actors import Actor
from audit.log import append, log_id
from audit.models.events import Event
from audit.outgoing import NotDelivered, post_signed
from audit.publication import Patience
from audit.queries import fetch
from audit.witnesses import freshness
from audit.witnesses import queries as witnesses
from audit.witnesses.configuration import PolicyUnusable

#: Hours after which a notice that could not be sent is given up: a channel set up later is not flooded with old news.
NEWS_FOR = 24
#: States of a place outside that are no mere outage (``audit.publication``).
WRONG = frozenset({"refused", "invalid", "conflict"})
#: Alerts that their own places raise and resolve (``put_wrong``, ``put_right``); no look at the log can tell of them.
REPLAYS = "alert:replay/"
REVIEWS = "alert:review/"
_BY = Actor.system("alerts")

_OPEN = "SELECT DISTINCT ON (subject) subject, state FROM audit.alert ORDER BY subject, id DESC"
_UNSENT = """
    SELECT a.id, a.event_id::text, a.subject, a.state, a.sentence, a.at FROM audit.alert a
    WHERE a.at > clock_timestamp() - make_interval(hours => %s)
    AND NOT EXISTS (SELECT FROM audit.notice n WHERE (n.alert_id, n.channel) = (a.id, %s)) ORDER BY a.id LIMIT 20
"""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Notice:
    """One thing to tell: ``state`` is raised or resolved; ``at`` in UTC."""

    number: int
    event_id: str
    subject: str
    state: str
    sentence: str
    at: datetime

    @property
    def headline(self) -> str:
        """For the subject of a mail."""
        if self.state == "raised":
            return _("Countersign: something that was recorded is wrong (%(subject)s)") % {"subject": self.subject}
        return _("Countersign: the cause of an alert is gone (%(subject)s)") % {"subject": self.subject}


def check() -> None:
    """Compare what is wrong now with what was, and record each difference. Raises ``DatabaseError``.

    What cannot be told now (no verification yet, or one that could not be finished) changes nothing.
    """
    wrong, unsure = findings()
    with transaction.atomic(), connection.cursor() as cursor:
        _alone(cursor)
        known: dict[str, str] = {
            name: state for name, state in fetch(_OPEN, []) if not name.startswith((REPLAYS, REVIEWS))
        }
        for subject, sentence in wrong.items():
            if known.get(subject) != "raised":
                _record(subject, "raised", sentence)
        for subject, state in known.items():
            if state == "raised" and subject not in wrong and subject not in unsure:
                _record(subject, "resolved", _("This is no longer so: %(subject)s.") % {"subject": subject})


def put_wrong(subject: str, sentence: str) -> None:
    """Raise an alert that no look at the log finds; nothing when it stands already."""
    _put(subject, "raised", sentence)


def put_right(subject: str) -> None:
    """Resolve an alert of ``put_wrong``; nothing when none stands."""
    _put(subject, "resolved", _("This is no longer so: %(subject)s.") % {"subject": subject})


def _put(subject: str, state: str, sentence: str) -> None:
    newest = "SELECT state FROM audit.alert WHERE subject = %s ORDER BY id DESC LIMIT 1"
    with transaction.atomic(), connection.cursor() as cursor:
        _alone(cursor)
        stands = fetch(newest, [subject]) == [("raised",)]
        if stands != (state == "raised"):
            _record(subject, state, sentence)


def _alone(cursor: CursorWrapper) -> None:
    """Let one at a time compare and record, until its transaction ends."""
    cursor.execute("SELECT pg_advisory_xact_lock(hashtext('audit.alert'))")


def findings() -> tuple[dict[str, str], frozenset[str]]:
    """What is wrong now, as subject and sentence; and the subjects of which nothing can be said now."""
    wrong: dict[str, str] = {}
    unsure: set[str] = set()
    verified = checks.newest()
    if verified is not None and verified.outcome == "failed":
        wrong["alert:tampering"] = verified.finding or _("The log does not verify.")
    elif verified is None or verified.outcome != "verified":
        unsure.add("alert:tampering")
    head = health.log_head()
    if head.oldest_pending_age is not None and head.oldest_pending_age > health.LATE_AFTER:
        wrong["alert:unsealed"] = _("An entry waits for more than a minute to be under a signed checkpoint.")
    fresh = freshness.of_log(log_id())
    if fresh.ok is False:
        wrong["alert:freshness"] = fresh.sentence
    wrong |= _witnesses() | _places()
    return wrong, frozenset(unsure)


def deliver(patience: Mapping[str, Patience]) -> None:
    """Send what has not been sent, to each channel that is set up; a failure is logged and tried again later.

    ``patience`` holds the back-off of each channel (``mail``, ``webhook``). Raises ``DatabaseError`` only.
    """
    channels: dict[str, tuple[bool, Callable[[Notice], None]]] = {
        "mail": (bool(settings.ALERT_EMAIL), _mail),
        "webhook": (bool(settings.ALERT_WEBHOOK), _webhook),
    }
    for name, (wanted, send) in channels.items():
        if not wanted or not patience[name].over:
            continue
        for row in fetch(_UNSENT, [NEWS_FOR, name]):
            notice = Notice(*row)
            try:
                send(notice)
            except (OSError, smtplib.SMTPException, NotDelivered, ValueError) as error:
                logger.error("alert %s could not be sent by %s: %s", notice.subject, name, error)
                patience[name].failed()
                break
            patience[name].worked()
            with connection.cursor() as cursor:
                cursor.execute(
                    "INSERT INTO audit.notice (alert_id, channel) VALUES (%s, %s) ON CONFLICT DO NOTHING",
                    [notice.number, name],
                )


def _witnesses() -> dict[str, str]:
    try:
        states = witnesses.status(log_id())
    except PolicyUnusable as error:
        return {"alert:policy": str(error)}
    return {
        f"alert:witness/{state.name[:200]}": f"{state.name}: {state.sentence}"
        for state in states
        if state.state in WRONG
    }


def _places() -> dict[str, str]:
    """The places that are set up; one that no longer is ends its incident."""
    return {f"alert:{place.kind}": place.sentence for place in published.places(log_id()) if place.state in WRONG}


def _record(subject: str, state: str, sentence: str) -> None:
    """The entry and the row that remembers it, in the caller's transaction."""
    event = Event.ALERT_RAISED if state == "raised" else Event.ALERT_RESOLVED
    receipt = append(event, subject, facts={"finding": sentence[:2000]}, by=_BY)
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO audit.alert (event_id, subject, state, sentence) VALUES (%s, %s, %s, %s)",
            [receipt.event_id, subject, state, sentence[:2000]],
        )
    logger.log(logging.ERROR if state == "raised" else logging.INFO, "alert %s %s: %s", subject, state, sentence)


def _mail(notice: Notice) -> None:
    body = _("%(sentence)s\n\nSince: %(at)s\nServer: %(url)s/verify\nEntry: %(entry)s\n") % {
        "sentence": notice.sentence,
        "at": notice.at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC"),
        "url": settings.PUBLIC_URL,
        "entry": notice.event_id,
    }
    headers = {"Message-ID": f"<{notice.event_id}@countersign>"}
    subject = " ".join(notice.headline.split())
    EmailMessage(subject, body, to=settings.ALERT_EMAIL, headers=headers).send(fail_silently=False)


def _webhook(notice: Notice) -> None:
    document: dict[str, Any] = {
        "type": f"alert.{notice.state}",
        "timestamp": notice.at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "data": {
            "subject": notice.subject,
            "sentence": notice.sentence,
            "entry": notice.event_id,
            "address": f"{settings.PUBLIC_URL}/verify",
        },
    }
    body = json.dumps(document).encode()
    post_signed(settings.ALERT_WEBHOOK, settings.WEBHOOK_SECRET, f"msg_{notice.event_id}", body)
