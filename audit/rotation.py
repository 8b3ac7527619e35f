"""Changing the log's keys: new ones join the old ones, and the old ones retire after the overlap.

Private keys are made and destroyed by the signer. What is public becomes an entry; the sequencer enters it into the
keyring with the size from which, or to which, the keys sign (``audit.orders``).
"""

from __future__ import annotations

from datetime import UTC, datetime

from django.conf import settings
from django.db import transaction
from django.utils.translation import gettext as _

from audit import log
from audit.actors import Actor
from audit.keyring import Keyring, keyring
from audit.merkle.checkpoint import Vkey
from audit.models.events import Event
from audit.orders import may_retire
from audit.queries import fetch
from audit.refusals import Conflict
from audit.signer import Signing


def ring() -> Keyring:
    """The keys of the newest log."""
    return keyring(fetch, log.log_id())


def rotate(signer: Signing, *, by: Actor) -> tuple[Vkey, ...]:
    """Have the signer make new keys and announce them; returns them. Both sets sign from the next checkpoint on.

    Raises ``Conflict`` while an earlier rotation is not finished, ``SignerUnavailable`` and ``SignerRefusal``.
    """
    known = ring()
    old = [str(vkey) for vkey in known.valid()]
    new = signer.rotate()
    if any(vkey in known for vkey in new) or _waits(Event.KEY_ROTATED, signer.origin):
        raise Conflict(
            _("A rotation is under way already: the old keys must be retired before there can be new ones."),
            code="key.rotating",
        )
    facts = {"old": old, "new": [str(vkey) for vkey in new], "overlap_days": settings.KEY_OVERLAP_DAYS}
    with transaction.atomic():
        log.append(Event.KEY_ROTATED, f"log:{signer.origin}", facts=facts, by=by)
    return new


def retire(signer: Signing, *, by: Actor) -> tuple[Vkey, ...]:
    """Order that the older keys end; returns them. The signer destroys them once a checkpoint holds the order.

    Raises ``Conflict`` when there is nothing to retire or the overlap is not over.
    """
    known = ring()
    first = min((key.from_size for key in known.keys if key.to_size is None), default=0)
    old = tuple(key.vkey for key in known.keys if key.to_size is None and key.from_size == first)
    if problem := may_retire(known, {str(vkey) for vkey in old}, datetime.now(UTC)):
        raise Conflict(_("These keys cannot be retired: %(problem)s.") % {"problem": problem}, code="key.in_use")
    if _waits(Event.KEY_RETIRED, signer.origin):
        raise Conflict(_("The keys are being retired already."), code="key.retiring")
    with transaction.atomic():
        facts = {"vkeys": [str(vkey) for vkey in old]}
        log.append(Event.KEY_RETIRED, f"log:{signer.origin}", facts=facts, by=by)
    return old


def _waits(event: Event, origin: str) -> bool:
    """Whether such an order has no place in the tree yet."""
    sql = """
        SELECT FROM audit.entry e WHERE e.log_id = %s AND e.object_key = %s
        AND convert_from(e.entry, 'UTF8')::jsonb ->> 'event' = %s
        AND NOT EXISTS (SELECT FROM audit.leaf l WHERE (l.log_id, l.entry_id) = (e.log_id, e.id)) LIMIT 1
    """
    return bool(fetch(sql, [log.log_id(), f"log:{origin}", event.value]))
