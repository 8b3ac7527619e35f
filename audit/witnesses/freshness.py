"""Is the newest cosignature young enough? An old checkpoint verifies for ever, so only its age shows a frozen log.

Whoever serves an old, valid checkpoint cannot make it young: a witness cosigns only the largest tree that it has seen.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.conf import settings
from django.utils.translation import gettext as _

from audit.merkle import cosignature
from audit.merkle.checkpoint import NoteInvalid
from audit.merkle.policy import NONE, Policy
from audit.witnesses import queries
from audit.witnesses.client import TOLERANCE
from audit.witnesses.configuration import PolicyUnusable


@dataclass(frozen=True, slots=True)
class Freshness:
    """``ok`` is None when no witness is asked for. ``at`` (UTC): when a quorum last saw the log, by its own clocks."""

    ok: bool | None
    sentence: str
    at: datetime | None = None


def judge(chosen: Policy, signed: Mapping[str, datetime], now: datetime, max_age: timedelta) -> Freshness:
    """Judge by the newest cosignature of each witness (the policy's names). Pure: ``now`` is the reader's clock.

    A time in the future beyond a minute does not count: who can date ahead could look fresh for ever.
    """
    if chosen.quorum == NONE:
        return Freshness(None, _("The policy asks for no witness."))
    believable = {name: at for name, at in signed.items() if at <= now + timedelta(seconds=TOLERANCE)}
    newest = [name for name, _at in sorted(believable.items(), key=lambda pair: pair[1], reverse=True)]
    seen: list[str] = []
    for name in newest:
        seen.append(name)
        if chosen.satisfied(seen):
            return _by_age(believable[name], now, max_age)
    return Freshness(False, _("Too few witnesses have cosigned a checkpoint of this log: the quorum is not reached."))


def of_log(log_id: int, now: datetime | None = None) -> Freshness:
    """The freshness of this installation's log against WITNESS_MAX_AGE. One query, none without a policy."""
    try:
        chosen = queries.policy()
        if chosen is None:
            return Freshness(None, _("No witness is configured: set WITNESS_POLICY."))
        signed = {state.name: state.signed_at for state in queries.status(log_id) if state.signed_at}
    except PolicyUnusable as error:
        return Freshness(False, str(error))
    return judge(chosen, signed, now or datetime.now(UTC), timedelta(seconds=settings.WITNESS_MAX_AGE))


def of_note(text: str, chosen: Policy, now: datetime, max_age: timedelta) -> Freshness:
    """The freshness of a checkpoint that somebody hands out, with its cosignature lines under it.

    The log's own signatures are checked by ``audit.merkle.checkpoint.verify``. A note whose lines do not hold is not
    fresh.
    """
    try:
        found = cosignature.cosignatures(text, chosen.witness_keys)
    except NoteInvalid as error:
        return Freshness(False, _("The checkpoint is not acceptable: %(problem)s.") % {"problem": error})
    try:
        signed = {
            name: datetime.fromtimestamp(one.signed_at, UTC) for one in found for name in chosen.names([one.vkey])
        }
    except (OverflowError, ValueError, OSError):
        return Freshness(False, _("A cosignature has an impossible time."))
    return judge(chosen, signed, now, max_age)


def _by_age(at: datetime, now: datetime, max_age: timedelta) -> Freshness:
    shown = at.strftime("%Y-%m-%d %H:%M:%S UTC")
    if now - at > max_age:
        return Freshness(
            False,
            _("No quorum of witnesses has cosigned since %(at)s: the log stands still, or somebody shows an old one.")
            % {"at": shown},
            at,
        )
    return Freshness(True, _("A quorum of witnesses cosigned the log at %(at)s.") % {"at": shown}, at)
