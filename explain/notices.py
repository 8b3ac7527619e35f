"""Telling somebody else's server that an explanation ended: a signed webhook, repeated until it is taken.

The notice is written in the transaction that ends the job and sent by the clock, so that neither a restart nor a broker
that is away loses it. It names the job and holds no row of anybody (Standard Webhooks 1.0 signs it).
"""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from audit.outgoing import NotDelivered, post_signed
from audit.refusals import BadInput
from explain.models import ExplanationJob, Notice, NoticeState

logger = logging.getLogger(__name__)

#: The waits between attempts double from here; after so many attempts (about a day) nobody is told any more.
FIRST_WAIT, MOST_ATTEMPTS = timedelta(seconds=20), 13
#: Notices of one round: a dead receiver must not hold the others up for long.
ROUND = 20
_LOOPBACK = {"127.0.0.1", "localhost", "::1"}


def allowed(url: str) -> str:
    """``url`` when this server may send notices there. Raises ``BadInput`` on ``notify``.

    The host must be listed in ``EXPLANATION_WEBHOOK_HOSTS``: an address that anyone may type is how a server is made to
    talk to its own network.
    """
    if not url:
        return ""
    try:
        parts = urlsplit(url)
        host, _port = parts.hostname or "", parts.port
    except ValueError:
        raise _bad(_("“%(url)s” is not an address.") % {"url": url[:200]}) from None
    safe = parts.scheme == "https" or (parts.scheme == "http" and host in _LOOPBACK)
    if not safe or not host or parts.username or parts.password or len(url) > 400:
        raise _bad(_("Notices go to an https:// address without a user name; “%(url)s” is not.") % {"url": url[:200]})
    if host not in settings.EXPLANATION_WEBHOOK_HOSTS:
        raise _bad(
            _("Host “%(host)s” gets no notices. An administrator adds it to EXPLANATION_WEBHOOK_HOSTS.")
            % {"host": host}
        )
    if not settings.WEBHOOK_SECRET:
        raise _bad(
            _("Without WEBHOOK_SECRET nobody could tell that a notice comes from here. An administrator sets it.")
        )
    return url


def _bad(sentence: str) -> BadInput:
    return BadInput(sentence, code="explanation.notify", fields={"notify": sentence})


def write(*, job: ExplanationJob, **_signal: Any) -> None:
    """Keep a notice when somebody asked to be told; called inside the transaction that ends the job."""
    if url := job.settings.get("notify"):
        Notice.objects.create(job=job, url=url, next_at=timezone.now())


def deliver(now: datetime | None = None) -> int:
    """Send what is due; answers how many were taken. Several workers may do it at once."""
    taken, tried = 0, list[int]()
    for _each in range(ROUND):
        with transaction.atomic():
            notice = (
                Notice.objects.select_for_update(skip_locked=True, of=("self",))
                .select_related("job__version__model")
                .filter(state=NoticeState.WAITING, next_at__lte=now or timezone.now())
                .exclude(pk__in=tried)
                .order_by("next_at")
                .first()
            )
            if notice is None:
                return taken
            tried.append(notice.pk)
            taken += _send(notice)
    return taken


def _send(notice: Notice) -> bool:
    notice.attempts += 1
    try:
        # looked at again: an administrator may have taken the host from the list meanwhile
        url = allowed(notice.url)
        post_signed(url, settings.WEBHOOK_SECRET, f"explanation-{notice.job_id}", json.dumps(body(notice.job)).encode())
    except (NotDelivered, BadInput) as error:
        notice.error = error.sentence[:2000]
        notice.next_at = timezone.now() + FIRST_WAIT * 2 ** (notice.attempts - 1)
        if notice.attempts >= MOST_ATTEMPTS:
            notice.state = NoticeState.GIVEN_UP
            logger.warning("nobody took the notice of %s: %s", notice.job.subject, notice.error)
        notice.save(update_fields=["attempts", "error", "next_at", "state"])
        return False
    notice.state, notice.error = NoticeState.DELIVERED, ""
    notice.save(update_fields=["attempts", "error", "state"])
    return True


def body(job: ExplanationJob) -> dict[str, Any]:
    """What a receiver reads: which job, how it ended, and where to look. Nothing about the rows."""
    ended = job.ended or timezone.now()
    return {
        "type": f"explanation.{job.state}",
        "timestamp": ended.astimezone(UTC).isoformat(timespec="seconds"),
        "data": {
            "explanation": job.subject,
            "version": job.version.subject,
            "state": job.state,
            "standing": job.standing,
            "receipt": job.receipt_digest,
            "address": f"{settings.PUBLIC_URL}{job.get_absolute_url()}",
        },
    }
