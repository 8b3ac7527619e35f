"""Policy packs: drafted, linted, activated, retired. The text of a pack never changes after it was drafted."""

from __future__ import annotations

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
from governance import policies
from governance.models.backtest import Backtest, BacktestState
from governance.models.policy import PackState, PolicyPack

PACKS = Lifecycle(
    field="state",
    transitions={
        ("draft", "active"): Event.PACK_ACTIVATED,
        ("active", "retired"): Event.PACK_RETIRED,
        ("draft", "retired"): Event.PACK_RETIRED,
    },
)
#: Registers and activates the packs that ship with the program: the installation itself, at its first start.
INSTALLER = Actor.system("installer")


def active_packs() -> tuple[policies.CompiledPack, ...]:
    """The packs in force, compiled (once in each process, by digest), in the order of their names. One query.

    Raises ``policies.PackError`` when one no longer compiles: the gate then answers ``error``, never without it.
    """
    with connection.cursor() as cursor:  # every gate check asks this, so it is one bare statement
        cursor.execute(
            "SELECT text FROM governance_policypack WHERE state = %s ORDER BY slug", [PackState.ACTIVE.value]
        )
        return tuple(policies.compile_pack(text) for (text,) in cursor.fetchall())


def lint(text: str) -> policies.CompiledPack:
    """Compile without storing. Raises ``BadInput`` with one sentence per mistake, each with its line and column.

    A residency rule that allows by absence is a mistake, and so is a rule in force that nobody has verified.
    """
    try:
        return policies.lint_pack(text)
    except policies.PackError as error:
        count = len(error.problems)
        sentence = ngettext(
            "The pack has %(count)d mistake: %(all)s", "The pack has %(count)d mistakes: %(all)s", count
        )
        raise BadInput(
            sentence % {"count": count, "all": "; ".join(map(str, error.problems))},
            code="pack.invalid",
            fields={f"line {each.line}, column {each.column}": str(each) for each in error.problems},
        ) from error


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


def activate(slug: str, version: int, *, reason: str, by: Actor) -> PolicyPack:
    """Put a drafted version in force and retire the one before it, in one transaction.

    Two people: who drafted it cannot activate it; only the installer may do both for the packs that ship. Raises
    ``NotPermitted`` for a program and for who drafted it, ``Refused`` while no back-test of this text is finished.
    """
    if by != INSTALLER and not by.id.startswith("user:"):
        raise NotPermitted(_("Only a person can put a policy in force."), code="pack.person")
    if not reason.strip():
        raise BadInput(_("Say why the pack comes into force."), code="pack.reason")
    with transaction.atomic():
        rows = list(PolicyPack.objects.select_for_update().filter(slug=slug))
        row = next((each for each in rows if each.version == version), None)
        if row is None:
            raise NotKnown(
                _("There is no version %(version)d of the pack %(pack)s.") % {"version": version, "pack": slug},
                code="pack.unknown",
            )
        if row.drafted_by == by.id and by != INSTALLER:
            raise NotPermitted(_("You drafted this pack; someone else must activate it."), code="pack.self_activation")
        if not policies.may_be_activated(lint(row.text)):
            raise BadInput(
                _("The pack %(pack)s is switched off; draft it anew when somebody has verified it, with name and date.")
                % {"pack": slug},
                code="pack.unverified",
            )
        facts = _facts(row) | _tried(row, by)
        for old in rows:
            if old.state == PackState.ACTIVE:
                PACKS.transition(old, PackState.RETIRED, facts=_facts(old), reason=reason, by=by)
        PACKS.transition(
            row,
            PackState.ACTIVE,
            facts=facts,
            reason=reason,
            changes={"activated_at": timezone.now(), "activated_by": by.id},
            by=by,
        )
    return row


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
