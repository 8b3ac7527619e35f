"""What serves now, decided again: at once when a safeguard ends, and now and then everything.

A deployment that the rules no longer allow is a finding (``registry.findings``) until they allow it again or it does
not serve any more. What cannot be decided is a finding too. Nothing is stopped here: people stop a deployment.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from django.db import DatabaseError, connection, transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext as _

from audit import log
from audit.actors import Actor
from audit.models.events import Event
from governance import decisions, halting, lapsing, sharing, wording
from governance.facts import Case
from governance.models.decision import Action, Outcome
from governance.models.transfer import SafeguardStatus, TransferSafeguard
from governance.models.waiver import Waiver
from registry import findings
from registry.findings import Settled
from registry.lineage import reach
from registry.models import Deployment, Finding
from registry.reconciling.comparison import Difference, Kind

CLOCK = Actor.system("rechecks")
#: First half of the advisory lock's key («serv» in ASCII): one at a time, so that two workers open one finding.
LOCK = int.from_bytes(b"serv")
#: Subjects and deployments that an entry or a finding names; the rest is counted.
NAMED = 200
logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Judged:
    """A deployment that serves, and what the rules say of it now. ``blocking`` is empty exactly when it is lawful.

    ``waived_by`` are the safeguards that it is lawful by, ``excused_by`` the waivers.
    """

    deployment: Deployment
    blocking: tuple[Mapping[str, Any], ...]
    waived_by: frozenset[str] = frozenset()
    excused_by: frozenset[str] = frozenset()

    @property
    def lawful(self) -> bool:
        """Only an ``allow`` is."""
        return not self.blocking


def serving() -> list[Deployment]:
    """Every deployment that serves now, with its names. One query."""
    return list(Deployment.objects.open().with_names().order_by("pk"))


def touched_by(safeguards: Iterable[TransferSafeguard]) -> list[Deployment]:
    """The deployments that serve now and that one of the safeguards can be about: by where they serve, or by a data set
    that their version learned from. Two queries.
    """
    subjects = {subject for row in safeguards for subject in row.subjects}
    sets = sorted(each for each in subjects if each.startswith("dataset:"))
    learned = set(reach.nodes_reached(sets, "downstream")) if sets else set()
    return [row for row in serving() if row.environment.subject in subjects or row.version.subject in learned]


def read(rows: Sequence[Deployment]) -> sharing.Shared:
    """What deciding about ``rows`` shares."""
    return sharing.read([row.version for row in rows], [CLOCK.id])


def judge(rows: Sequence[Deployment], shared: sharing.Shared) -> list[Judged]:
    """Decide each of ``rows`` again, without sign-offs, which were given when it was promoted. Equal questions are
    decided once. Raises ``DatabaseError`` only.
    """
    known: dict[tuple[object, ...], Judged] = {}
    found = []
    with sharing.using(shared):
        for row in rows:
            asked = (row.version_id, row.environment_id, row.strategy, row.weight)
            if asked not in known:
                known[asked] = _judge(row)
            found.append(replace(known[asked], deployment=row))
    return found


def question(row: Deployment) -> Case:
    """What is asked of something that serves: may it go on?"""
    return Case(
        version=row.version,
        environment=row.environment,
        action=Action.RUN,
        plan={"strategy": row.strategy, "weight": row.weight},
        requested_by=CLOCK.id,
    )


def _judge(row: Deployment) -> Judged:
    try:
        verdict = decisions.evaluate(question(row), needs_signoffs=False)
    except DatabaseError:
        raise
    except Exception as error:  # whatever goes wrong in deciding must not pass for lawful
        logger.exception("what serves could not be decided again: %s", row.subject)
        return Judged(row, (_undecided(row, f"{type(error).__name__}: {error}"[:300]),))
    blocking = tuple(each for each in verdict.findings if wording.blocks(each))
    if verdict.outcome != Outcome.ALLOW and not blocking:
        blocking = (_undecided(row, verdict.summary),)
    relied = [(str(each["outcome"]), str(each["waived_by"])) for each in verdict.findings if each["waived_by"]]
    return Judged(
        row,
        blocking if verdict.outcome != Outcome.ALLOW else (),
        frozenset(reference for outcome, reference in relied if outcome == "pass"),
        frozenset(reference for outcome, reference in relied if outcome == "fail"),
    )


def _undecided(row: Deployment, sentence: str) -> dict[str, Any]:
    return {
        "rule": "ENGINE-UNDECIDED",
        "pack": "",
        "outcome": "error",
        "severity": "block",
        "cites": [],
        "facts": {},
        "subject": row.version.subject,
        "message": sentence,
        "remedy": _("See the server's log."),
        "where": "",
    }


def without(reference: str) -> sharing.Alter:
    """As if the safeguard were not there."""
    return lambda row: None if row.reference == reference else row


def with_again(reference: str, until: datetime) -> sharing.Alter:
    """As if the safeguard still counted."""

    def alter(row: TransferSafeguard) -> TransferSafeguard:
        if row.reference == reference:
            row.status, row.expires_at = SafeguardStatus.ACTIVE, until
        return row

    return alter


def relied_on(reference: str, judged: Sequence[Judged], shared: sharing.Shared, *, at: datetime) -> list[Judged]:
    """Those of ``judged`` that are forbidden by something that the ended safeguard would make lawful."""
    denied = [each for each in judged if not each.lawful]
    if not denied:
        return []
    again = judge([each.deployment for each in denied], shared.altered(with_again(reference, at + timedelta(days=1))))
    return [now for now, then in zip(denied, again, strict=True) if _points(now) - _points(then)]


def falling(reference: str, judged: Sequence[Judged], shared: sharing.Shared) -> list[Judged]:
    """Those of ``judged`` that are lawful and would not be without the safeguard, with what would then block them."""
    using = [each.deployment for each in judged if each.lawful and reference in each.waived_by]
    if not using:
        return []
    return [each for each in judge(using, shared.altered(without(reference))) if not each.lawful]


def falling_with(reference: str, judged: Sequence[Judged], shared: sharing.Shared) -> list[Judged]:
    """Those of ``judged`` that are lawful and would not be without the waiver, with what would then block them."""
    using = [each.deployment for each in judged if each.lawful and reference in each.excused_by]
    if not using:
        return []
    return [each for each in judge(using, shared.without_waiver(reference)) if not each.lawful]


def _points(judged: Judged) -> set[tuple[str, str, str]]:
    return {(str(each["pack"]), str(each["rule"]), _what(each)) for each in judged.blocking}


def _what(finding: Mapping[str, Any]) -> str:
    """The subject of a finding with the region and kind that it is about."""
    facts = finding["facts"]
    region = str(facts.get("claimed_region") or facts.get("region") or "")
    return " ".join(each for each in (str(finding["subject"]), region, str(facts.get("kind", ""))) if each)


@transaction.atomic
def follow_up(*, by: Actor = CLOCK) -> list[str]:
    """Decide again what safeguards and waivers that ended since had let serve, and what stands as no longer lawful.

    Returns the references of what was followed up: each once, with its entry; for a safeguard with the order to halt
    the transfer when something relied on it. Safe to run twice or at the same time.
    """
    _one_at_a_time()
    now = timezone.now().replace(microsecond=0)  # as decisions have it: what ended, ended for them too
    ended = list(
        TransferSafeguard.objects.select_for_update()
        .filter(Q(status=SafeguardStatus.REVOKED) | Q(expires_at__lte=now))
        .filter(followed_up_at__isnull=True, approved_at__isnull=False)
    )
    lapsed = lapsing.ended(now)
    known = set(Finding.objects.unlawful().values_list("concerns", flat=True))
    if not ended and not lapsed and not known:
        return []
    touched = touched_by(ended) if ended else []
    rows = {row.pk: row for row in touched}
    if known or lapsed:
        cases = {(waiver.version_id, waiver.environment_id) for waiver in lapsed}
        rows |= {
            row.pk: row for row in serving() if row.subject in known or (row.version_id, row.environment_id) in cases
        }
    listed = [rows[number] for number in sorted(rows)]
    shared = read(listed)
    judged = judge(listed, shared)
    _settle(judged, shared, now, by=by)
    for safeguard in ended:
        _end(safeguard, judged, shared, now, by=by)
    for waiver in lapsed:
        fallen = [each.deployment for each in judged if _was_excused(waiver, each)]
        lapsing.note(waiver, len(judged), fallen, by=by)
    return [*(row.reference for row in ended), *(row.reference for row in lapsed)]


@transaction.atomic
def recheck(*, by: Actor = CLOCK) -> Settled:
    """Decide again everything that serves: what changed without a safeguard's end (facts of a data set, a region, a
    pack) is found here. Safe to run twice or at the same time.
    """
    _one_at_a_time()
    rows = serving()
    shared = read(rows)
    return _settle(judge(rows, shared), shared, timezone.now(), by=by)


def _one_at_a_time() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, 0)", [LOCK])


def _settle(judged: Sequence[Judged], shared: sharing.Shared, at: datetime, *, by: Actor) -> Settled:
    ended = [row for row in shared.safeguards if row.approved_at and not _counts(row, at)]
    lapsed = lapsing.over(shared.waivers, at)
    differences = [one for each in judged for one in _differences(each, ended, lapsed)]
    return findings.settle_lawful(differences, {each.deployment.subject for each in judged}, at=at, by=by)


def _counts(row: TransferSafeguard, at: datetime) -> bool:
    return row.status == SafeguardStatus.ACTIVE and row.expires_at > at


def _was_excused(waiver: Waiver, judged: Judged) -> bool:
    return any(lapsing.excused(waiver, judged.deployment, each) for each in judged.blocking)


def _differences(judged: Judged, ended: Collection[TransferSafeguard], lapsed: Collection[Waiver]) -> list[Difference]:
    """One for each rule that forbids the deployment. Its key names every subject and region, so that more of the same
    is another finding and does not hide behind one that somebody accepted."""
    groups: dict[tuple[str, str, str], list[Mapping[str, Any]]] = {}
    for each in judged.blocking:
        groups.setdefault((str(each["pack"]), str(each["rule"]), str(each["outcome"])), []).append(each)
    row = judged.deployment
    on_record = {"version": row.version.subject, "since": row.since.isoformat(), "decision": row.decision_id}
    return [
        Difference(
            kind=Kind.NO_LONGER_LAWFUL,
            subject=row.subject,
            scope=f"lawful:{row.pk}",
            detail=(*rule, *sorted({_what(each) for each in group})),
            version=row.version.subject,
            environment=row.environment.slug,
            recorded={name: value for name, value in on_record.items() if value},
            observed=_observed(group, ended)
            | lapsing.named([each for each in lapsed if any(lapsing.excused(each, row, one) for one in group)]),
        )
        for rule, group in groups.items()
    ]


def _observed(group: Sequence[Mapping[str, Any]], ended: Collection[TransferSafeguard]) -> dict[str, str]:
    first = group[0]
    subjects = sorted({str(each["subject"]) for each in group})
    named = sorted({row.reference for row in ended for each in group if _covers(row, each)})
    told = {
        "rule": str(first["rule"]),
        "pack": str(first["pack"]),
        "outcome": str(first["outcome"]),
        "cites": "; ".join(map(str, first["cites"])),
        "subjects": ", ".join(subjects[:NAMED]),
        "safeguard": ", ".join(named[:NAMED]),
        "message": str(first["message"]),
        "remedy": str(first["remedy"]),
    }
    return {name: value for name, value in told.items() if value}


def _covers(row: TransferSafeguard, finding: Mapping[str, Any]) -> bool:
    facts = finding["facts"]
    region = str(facts.get("claimed_region") or facts.get("region") or "")
    return str(finding["subject"]) in row.subjects and region in row.regions


def _end(
    safeguard: TransferSafeguard, judged: Sequence[Judged], shared: sharing.Shared, at: datetime, *, by: Actor
) -> None:
    """The entry that says what the end of one safeguard did, and the order to halt when something relied on it."""
    relied = relied_on(safeguard.reference, judged, shared, at=at)
    how = "revoked" if safeguard.status == SafeguardStatus.REVOKED else "expired"
    safeguard.followed_up_at = timezone.now()
    safeguard.save(update_fields=["followed_up_at"])
    facts = {
        "how": how,
        "decided_again": len(judged),
        "no_longer_lawful": len(relied),
        "deployments": [each.deployment.subject for each in relied[:NAMED]],
    }
    log.append(Event.SAFEGUARD_ENDED, safeguard, facts=facts, by=by)
    if relied:
        halting.order(safeguard, [each.deployment for each in relied], by=by)
