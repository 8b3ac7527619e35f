"""Policy packs: drafted, linted, activated, retired. The text of a pack never changes after it was drafted.

A version comes into force at once or from an instant. From that instant it decides, whether or not anybody has noted in
its row that the instant came (``active_packs``); ``settle_due`` notes it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from django.db import connection, transaction
from django.db.models import Max
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from audit import log
from audit.actors import Actor
from audit.lifecycle import Lifecycle
from audit.models.events import Event
from audit.refusals import BadInput, Conflict, NotKnown, NotPermitted, Refused
from governance import following, policies, second_person
from governance.models.backtest import Backtest, BacktestState
from governance.models.policy import PackState, PolicyPack
from governance.policies.vocabulary import format_time
from registry import naming

PACKS = Lifecycle(
    field="state",
    transitions={
        ("draft", "active"): Event.PACK_ACTIVATED,
        ("draft", "scheduled"): Event.PACK_SCHEDULED,
        ("scheduled", "draft"): Event.PACK_UNSCHEDULED,
        ("scheduled", "active"): Event.PACK_ACTIVATED,
        ("active", "retired"): Event.PACK_RETIRED,
        ("draft", "retired"): Event.PACK_RETIRED,
    },
)
#: Registers and activates the packs that ship with the program: the installation itself, at its first start.
INSTALLER = Actor.system("installer")


#: Notes that the instant of a scheduled version came. Who scheduled it and why is in the entry before.
CLOCK = Actor.system("pack-clock")
#: So long after its instant a version is noted as active: a decision that was made a moment before the instant, and is
#: still reading, finds the rows as they were.
LEEWAY = timedelta(seconds=10)
MOST_TEXT = 4000
# Every gate check asks this, so it is one bare statement, which brings only the texts that this process has not
# compiled. A version whose instant came goes before the one in force.
_IN_FORCE = """
    SELECT DISTINCT ON (slug) digest, CASE WHEN digest = ANY(%s) THEN '' ELSE text END FROM governance_policypack
    WHERE state = %s OR (state = %s AND activated_at <= %s) ORDER BY slug, (state = %s) DESC
"""
#: What this process has compiled, by the digest of its text, which never changes.
_compiled: dict[str, policies.CompiledPack] = {}


def active_packs(now: datetime | None = None) -> tuple[policies.CompiledPack, ...]:
    """The packs in force at the moment ``now`` of a decision (this one when None), compiled (once in each process, by
    digest), in the order of their names. One query.

    Raises ``policies.PackError`` when one no longer compiles, or is not the text of its digest: the gate then answers
    ``error``, never without it.
    """
    scheduled, at = PackState.SCHEDULED.value, now or timezone.now()
    with connection.cursor() as cursor:
        cursor.execute(_IN_FORCE, [list(_compiled), PackState.ACTIVE.value, scheduled, at, scheduled])
        return tuple(_compiled.get(digest) or _compile(digest, text) for digest, text in cursor.fetchall())


def _compile(digest: str, text: str) -> policies.CompiledPack:
    pack = policies.compile_pack(text)
    if pack.digest != digest:
        sentence = f"{pack.id} is not the text that was put in force: its digest is {pack.digest}, not {digest}"
        raise policies.PackError((policies.Problem(1, 1, "", sentence),))
    _compiled[digest] = pack
    return pack


def versions_in_force(now: datetime | None = None) -> dict[str, int]:
    """Pack -> the version of it that is in force. None of all when one no longer compiles: then nothing is allowed."""
    try:
        return {pack.id: pack.version for pack in active_packs(now)}
    except policies.PackError:
        return {}


def lint(text: str) -> policies.CompiledPack:
    """Compile without storing. Raises ``BadInput`` with one sentence per mistake, each with its line and column.

    A residency rule that allows by absence is a mistake, and so are a rule in force that nobody has verified and a case
    of the pack's own that does not hold.
    """
    try:
        return policies.lint_pack(text)
    except policies.PackError as error:
        raise _invalid(error) from error


def try_cases(text: str) -> tuple[policies.CompiledPack, tuple[policies.Tried, ...]]:
    """The compiled pack and what comes out of its own cases, without storing and whatever else lint says of it.

    Raises ``BadInput`` for a text that does not compile and for cases that are written wrongly.
    """
    try:
        pack = policies.compile_pack(text)
        return pack, policies.try_cases(pack)
    except policies.PackError as error:
        raise _invalid(error) from error


def _invalid(error: policies.PackError) -> BadInput:
    count = len(error.problems)
    sentence = ngettext("The pack has %(count)d mistake: %(all)s", "The pack has %(count)d mistakes: %(all)s", count)
    return BadInput(
        sentence % {"count": count, "all": "; ".join(map(str, error.problems))},
        code="pack.invalid",
        fields={f"line {each.line}, column {each.column}": str(each) for each in error.problems},
    )


def draft(text: str, *, reason: str = "", by: Actor) -> PolicyPack:
    """Store a pack that compiles; it decides nothing until it is activated.

    Raises ``BadInput`` for a pack that does not compile, ``Conflict`` when this version of the pack exists already.
    """
    pack = lint(text)
    with transaction.atomic():
        last = PolicyPack.objects.filter(slug=pack.id).aggregate(last=Max("version"))["last"] or 0
        if pack.version <= last:
            raise Conflict(
                _("%(pack)s has version %(last)d already; number the new text higher.")
                % {"pack": pack.id, "last": last},
                code="pack.version",
            )
        row = PolicyPack.objects.create(
            slug=pack.id,
            version=pack.version,
            title=pack.title,
            text=text,
            digest=pack.digest,
            drafted_at=timezone.now(),
            drafted_by=by.id,
        )
        log.append(
            Event.PACK_DRAFTED,
            row,
            facts={**_facts(row), "title": pack.title},
            reason=reason,
            by=by,
        )
    return row


def activate(slug: str, version: int, *, reason: str, at: datetime | None = None, by: Actor) -> PolicyPack:
    """Put a drafted version in force and retire the one before it, in one transaction: at once, or from ``at``.

    Two people: who drafted it cannot activate it; only the installer may do both for the packs that ship. ``at`` is a
    whole second that is to come. Raises ``NotPermitted`` for a program and for who drafted it, ``Refused`` while no
    back-test of this text is finished, ``BadInput`` for an instant that is none or over, and ``Conflict`` while another
    version waits for its instant.
    """
    _require_person(by, reason, _("Say why the pack comes into force."))
    with transaction.atomic():
        rows = _locked(slug)
        now = timezone.now()
        if at is not None:
            _require_instant(at, now)
        row = _version(rows, slug, version)
        _settle(rows, now, by=CLOCK)
        if by != INSTALLER and second_person.is_first(row.drafted_by, by):
            raise NotPermitted(_("You drafted this pack; someone else must activate it."), code="pack.self_activation")
        if not policies.may_be_activated(lint(row.text)):
            raise BadInput(
                _("The pack %(pack)s is switched off; draft it anew when somebody has verified it, with name and date.")
                % {"pack": slug},
                code="pack.unverified",
            )
        _refuse_scheduled(rows)
        facts = _facts(row) | _tried(row, by)
        changes = {"activated_at": at or now, "activated_by": by.id}
        if at is not None:
            facts["instant"] = format_time(at)
            PACKS.transition(row, PackState.SCHEDULED, facts=facts, reason=reason, changes=changes, by=by)
            return row
        _retire(rows, reason=reason, by=by)
        PACKS.transition(row, PackState.ACTIVE, facts=facts, reason=reason, changes=changes, by=by)
        if by != INSTALLER:  # at the first start nothing serves yet
            transaction.on_commit(partial(following.order, following.EVERYTHING))
    return row


def unschedule(slug: str, version: int, *, reason: str, by: Actor) -> PolicyPack:
    """Take back the instant of a scheduled version, which is a draft again.

    Raises ``NotPermitted`` for a program, ``BadInput`` without a reason and ``Conflict`` when it is not scheduled: from
    its instant on it is in force, whatever its row says.
    """
    _require_person(by, reason, _("Say why the pack does not come into force."))
    with transaction.atomic():
        row = _version(_locked(slug), slug, version)
        if row.state == PackState.SCHEDULED and row.activated_at is not None and row.activated_at <= timezone.now():
            raise Conflict(
                _("%(pack)s is in force since %(at)s; only another version can take its place.")
                % {"pack": row, "at": format_time(row.activated_at)},
                code="pack.in_force",
            )
        facts = _facts(row) | ({"instant": format_time(row.activated_at)} if row.activated_at else {})
        changes = {"activated_at": None, "activated_by": ""}
        PACKS.transition(row, PackState.DRAFT, facts=facts, reason=reason, changes=changes, by=by)
    return row


def settle_due(*, by: Actor = CLOCK) -> list[PolicyPack]:
    """Note in the rows and in the log which scheduled versions are in force by now, and which they replaced.

    Nothing waits for it: they decide since their instant. Safe to run twice or at the same time.
    """
    before = timezone.now() - LEEWAY
    due = PolicyPack.objects.filter(state=PackState.SCHEDULED, activated_at__lte=before)
    settled: list[PolicyPack] = []
    for slug in sorted(set(due.values_list("slug", flat=True))):
        with transaction.atomic():
            settled += _settle(_locked(slug), before, by=by)
    return settled


def _settle(rows: Sequence[PolicyPack], now: datetime, *, by: Actor) -> list[PolicyPack]:
    """The version among the locked ``rows`` of one pack whose instant came, now active; the one before it retired."""
    due = [row for row in rows if row.state == PackState.SCHEDULED and row.activated_at and row.activated_at <= now]
    for row in due:
        at = format_time(row.activated_at) if row.activated_at else ""
        reason = "Its instant came."
        _retire(rows, reason=reason, by=by, at=at)
        facts = _facts(row) | {"instant": at, "scheduled_by": row.activated_by}
        PACKS.transition(row, PackState.ACTIVE, facts=facts, reason=reason, by=by)
    return due


def _retire(rows: Iterable[PolicyPack], *, reason: str, by: Actor, at: str = "") -> None:
    """Retire what is active among ``rows``; ``at`` is the instant since which it decides nothing, when that is over."""
    for old in rows:
        if old.state == PackState.ACTIVE:
            facts = _facts(old) | ({"instant": at} if at else {})
            PACKS.transition(old, PackState.RETIRED, facts=facts, reason=reason, by=by)


def _locked(slug: str) -> list[PolicyPack]:
    return list(PolicyPack.objects.select_for_update().filter(slug=slug))


def _version(rows: Iterable[PolicyPack], slug: str, version: int) -> PolicyPack:
    row = next((each for each in rows if each.version == version), None)
    if row is None:
        raise NotKnown(
            _("There is no version %(version)d of the pack %(pack)s.") % {"version": version, "pack": slug},
            code="pack.unknown",
        )
    return row


def _require_person(by: Actor, reason: str, why: str) -> None:
    if by != INSTALLER and not by.id.startswith("user:"):
        raise NotPermitted(_("Only a person can put a policy in force."), code="pack.person")
    if not reason.strip():
        raise BadInput(why, code="pack.reason")
    naming.text(reason, field="reason", limit=MOST_TEXT)


def _require_instant(at: datetime, now: datetime) -> None:
    """Decisions are made on whole seconds, so an instant is one."""
    if at.tzinfo is None or at.microsecond:
        raise BadInput(
            _("Give the instant in UTC and in whole seconds, for example 2027-01-01T00:00:00Z."), code="pack.instant"
        )
    if at <= now:
        raise BadInput(
            _("%(at)s is over: a policy comes into force now or later, never for decisions that are made already.")
            % {"at": format_time(at)},
            code="pack.instant_over",
        )


def _refuse_scheduled(rows: Iterable[PolicyPack]) -> None:
    for row in rows:
        if row.state == PackState.SCHEDULED and row.activated_at is not None:
            raise Conflict(
                _("%(pack)s comes into force at %(at)s. Take that back first: one version at a time can wait.")
                % {"pack": row, "at": format_time(row.activated_at)},
                code="pack.scheduled",
            )


def _tried(row: PolicyPack, by: Actor) -> dict[str, Any]:
    """The newest finished back-test of the text, for the entry of its activation."""
    if by == INSTALLER:
        return {}
    done = Backtest.objects.filter(pack=row, state=BacktestState.FINISHED).first()
    if done is None:
        raise Refused(
            _("%(pack)s has no finished back-test: try it on the past first.") % {"pack": row}, code="pack.no_backtest"
        )
    return {"backtest": done.pk, "result_digest": done.result_digest, **done.numbers}


def _facts(row: PolicyPack) -> dict[str, Any]:
    """Which text: the digest stands for every rule in it."""
    return {"pack": row.slug, "version": row.version, "digest": row.digest}


def load_shipped() -> list[PolicyPack]:
    """Register and activate the shipped packs that this installation has never seen; safe at every start.

    One that nobody has verified (``enabled: false``) is registered and stays a draft. A pack of which any version is
    stored is left alone: later versions come in force only by people.
    """
    loaded: list[PolicyPack] = []
    known = set(PolicyPack.objects.values_list("slug", flat=True))
    for slug, text in sorted(policies.shipped_packs().items()):
        if slug in known:
            continue
        with transaction.atomic():
            row = draft(text, reason="Shipped with Countersign.", by=INSTALLER)
            if policies.may_be_activated(policies.compile_pack(text)):
                row = activate(row.slug, row.version, reason="Shipped with Countersign.", by=INSTALLER)
            loaded.append(row)
    return loaded
