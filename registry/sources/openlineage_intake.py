"""Taking events of OpenLineage in: unpack, read, keep the exact text. What they change is applied afterwards.

A kept event is never lost: it waits in the table until ``registry.sources.openlineage`` has applied it, woken by a task
or, when the broker does not take one, by the clock. The same text again changes nothing: run, type, time and body of an
event are in its digest.
"""

from __future__ import annotations

import hashlib
import json
import logging
import time
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from celery import current_app
from django.db import connection
from django.utils import timezone
from django.utils.translation import gettext as _
from kombu.exceptions import KombuError

from audit.actors import Actor
from audit.refusals import BadInput
from registry.models import OpenLineageOutcome, OutcomeState
from registry.sources.openlineage_events import Read, read

logger = logging.getLogger(__name__)

#: Bytes of a body after gzip was undone, one event or a batch.
MAX_BYTES = 16 * 1024**2
MAX_EVENTS = 10_000
APPLY = "registry.tasks.apply_openlineage"
#: Seconds without asking a broker that did not answer; the clock applies meanwhile.
PAUSE = 10.0
_GZIP = 16 + zlib.MAX_WBITS
_KEEP = """
    WITH kept AS (
        INSERT INTO registry_openlineage_event
            (digest, body, kind, run_id, event_type, event_time, producer, actor_id, received)
        SELECT *
        FROM unnest(%s::text[], %s::bytea[], %s::text[], %s::text[], %s::text[], %s::timestamptz[], %s::text[]),
            (VALUES (%s, %s::timestamptz)) AS brought (actor_id, received)
        ON CONFLICT (digest) DO NOTHING RETURNING id, digest),
    waits AS (
        INSERT INTO registry_openlineage_outcome (event_id, state, problems) SELECT id, 'waiting', '[]' FROM kept)
    SELECT digest FROM kept
"""


@dataclass(frozen=True, slots=True)
class Received:
    """One event of a request: its digest and whether it is ``new``, or why it was ``refused``."""

    digest: str = ""
    new: bool = False
    refused: BadInput | None = None


@dataclass(slots=True)
class _Broker:
    """When this process may ask the broker again, by the monotonic clock."""

    away_until: float = 0.0


_broker = _Broker()


class TooLarge(BadInput):
    """More bytes than are accepted (413)."""

    status = 413


def unpacked(body: bytes, encoding: str) -> bytes:
    """``body`` after its ``Content-Encoding`` (gzip or none) was undone, never more than ``MAX_BYTES`` in memory.

    Raises ``TooLarge``, and ``BadInput`` for another encoding or for bytes that are not gzip.
    """
    word = encoding.strip().lower()
    if word in ("", "identity"):
        return body
    if word not in ("gzip", "x-gzip"):
        raise BadInput(
            _("The encoding “%(word)s” is not understood; send gzip or nothing.") % {"word": word[:40]},
            code="openlineage.encoding",
        )
    stream = zlib.decompressobj(_GZIP)
    try:
        data = stream.decompress(body, MAX_BYTES + 1)
    except zlib.error as error:
        raise BadInput(_("The body is not gzip, although its header says so."), code="openlineage.gzip") from error
    if len(data) > MAX_BYTES:
        sentence = _("Unpacked, the body has more than %(limit)d MiB; send fewer events at a time.")
        raise TooLarge(sentence % {"limit": MAX_BYTES // 1024**2}, code="input.too_large")
    if not stream.eof or stream.unused_data:
        raise BadInput(_("The gzip body is cut off, or something follows it."), code="openlineage.gzip")
    return data


def take_in(body: bytes, *, by: Actor) -> Received:
    """Keep one event. Raises ``BadInput`` when it cannot be read; nothing is kept then."""
    now = timezone.now()
    return _keep([(body, read(body, now=now))], now, by)[0]


def take_in_all(body: bytes, *, by: Actor) -> list[Received]:
    """Keep a JSON array of events, in its order; one that cannot be read stops no other.

    Raises ``BadInput`` when the body is no array.
    """
    now = timezone.now()
    answers: list[Received | None] = []
    readable: list[tuple[bytes, Read]] = []
    for part in _parts(body):
        try:
            readable.append((part, read(part, now=now)))
            answers.append(None)
        except BadInput as refusal:
            answers.append(Received(refused=refusal))
    kept = iter(_keep(readable, now, by))
    return [answer or next(kept) for answer in answers]


def _parts(body: bytes) -> Iterator[bytes]:
    """The exact bytes of each element of an array. Raises ``BadInput``."""
    decoder, space = json.JSONDecoder(), " \t\r\n"
    try:
        text = body.decode()
        at, end = _after(text, 0, space), len(text.rstrip(space))
        if text[at : at + 1] != "[":
            raise BadInput(_("A batch is a JSON array of events."), code="openlineage.not_an_array")
        at, count = _after(text, at + 1, space), 0
        while text[at : at + 1] != "]" or count:
            begin = at
            _value, at = decoder.raw_decode(text, begin)
            count += 1
            if count > MAX_EVENTS:
                sentence = _("A batch has at most %(limit)d events.")
                raise TooLarge(sentence % {"limit": MAX_EVENTS}, code="openlineage.too_many")
            yield text[begin:at].encode()
            at = _after(text, at, space)
            if text[at : at + 1] == "]":
                break
            if text[at : at + 1] != ",":
                raise json.JSONDecodeError("Expecting ',' or ']'", text, at)
            at = _after(text, at + 1, space)
        if at + 1 != end:
            raise json.JSONDecodeError("Extra data", text, at + 1)
    except UnicodeDecodeError as error:
        raise BadInput(_("The body is not UTF-8."), code="openlineage.not_json") from error
    except RecursionError as error:
        raise BadInput(_("The body is nested too deeply."), code="input.nesting") from error
    except json.JSONDecodeError as error:
        raise BadInput(_("The body is not JSON: %s.") % str(error)[:120], code="openlineage.not_json") from error


def _after(text: str, at: int, space: str) -> int:
    """The first place from ``at`` that is no white space."""
    while at < len(text) and text[at] in space:
        at += 1
    return at


def _keep(events: Sequence[tuple[bytes, Read]], now: datetime, by: Actor) -> list[Received]:
    if not events:
        return []
    digests = [f"sha256:{hashlib.sha256(body).hexdigest()}" for body, _event in events]
    reads = [event for _body, event in events]
    columns: list[Any] = [
        digests,
        [body for body, _event in events],
        [each.kind for each in reads],
        [each.run_id for each in reads],
        [each.event_type for each in reads],
        [each.event_time for each in reads],
        [each.producer for each in reads],
    ]
    awake = OpenLineageOutcome.objects.filter(state=OutcomeState.WAITING).exists()
    with connection.cursor() as cursor:
        cursor.execute(_KEEP, [*columns, by.id, now])
        new = {digest for (digest,) in cursor.fetchall()}
    if new and not awake:
        _wake()
    return [Received(digest, digest in new) for digest in digests]


def _wake() -> None:
    """While another event waits, somebody is awake already: a burst of events sends one task.

    A broker that is away is left alone for ``PAUSE``, so that not every event waits for it.
    """
    if time.monotonic() < _broker.away_until:
        return
    try:
        current_app.send_task(APPLY, retry=False)
    except (KombuError, OSError) as error:
        _broker.away_until = time.monotonic() + PAUSE
        logger.warning("the broker does not take the task for OpenLineage's events, the clock will: %s", error)
