"""The record that a strategy keeps of its own about a deployment, and drills of rollbacks."""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import Any

import rfc8785
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from audit import log
from audit.actors import Actor
from audit.models.events import Event
from audit.refusals import BadInput, Conflict, NotKnown
from registry import naming, strategy_records
from registry.models import Deployment, DeploymentKind, Environment, ModelVersion, Strategy, StrategyRecord
from registry.strategy_records import Problem

#: Bytes of a record's canonical JSON.
MAX_RECORD = 256 * 1024


def check_record(strategy: str, record: Any, *, digest: str) -> None:
    """Raises ``BadInput`` that names everything which is missing or wrong, each under ``record.<path>``."""
    found = strategy_records.problems(strategy, record, digest=digest)
    if not found:
        return
    missing = [each.path for each in found if each.why == "missing"]
    sentence = _("The record of the strategy “%(strategy)s” is not whole.") % {"strategy": strategy}
    if missing:
        told = {"strategy": strategy, "missing": ", ".join(missing[:20])}
        sentence = _("The record of the strategy “%(strategy)s” lacks: %(missing)s.") % told
    fields = {f"record.{each.path}".rstrip("."): _said(each) for each in found[:50]}
    raise BadInput(sentence, code="deployment.record", fields=fields)


@transaction.atomic
def describe(deployment: Deployment, record: Any, *, by: Actor) -> StrategyRecord:
    """Add the strategy's own record to a deployment; what was recorded before stays.

    Raises ``BadInput`` as ``check_record``, or when it is too large; ``Conflict`` for exactly the newest record again.
    """
    check_record(deployment.strategy, record, digest=deployment.digest)
    canonical = rfc8785.dumps(record)
    if len(canonical) > MAX_RECORD:
        sentence = _("The record has %(size)d bytes; at most %(limit)d are kept. Refer to files by their digest.")
        told = sentence % {"size": len(canonical), "limit": MAX_RECORD}
        raise BadInput(told, code="deployment.record_too_large", fields={"record": told})
    digest = "sha256:" + hashlib.sha256(canonical).hexdigest()
    Deployment.objects.select_for_update(of=("self",)).get(pk=deployment.pk)
    newest = deployment.records.first()
    if newest is not None and newest.digest == digest:
        raise Conflict(_("The newest record of this deployment says exactly this."), code="deployment.record_known")
    row = StrategyRecord(deployment=deployment, record=record, digest=digest, actor_id=by.id, at=timezone.now())
    row.save()
    facts = {"strategy": deployment.strategy, "record": digest, "fields": sorted(record)}
    log.append(Event.DEPLOYMENT_DESCRIBED, row, facts=facts, by=by)
    return row


@transaction.atomic
def record_drill(
    environment: Environment, version: ModelVersion, *, reason: str, seconds: int, worked: bool, by: Actor
) -> Deployment:
    """Record that going back to ``version`` was practised. Nothing that serves changes: the drill begins and ends now.

    ``seconds``: how long it took until the version would have served. Raises ``BadInput`` without a reason or for
    other seconds than 0 to 86,400, ``Conflict`` when nothing of the model serves there or the version never did.
    """
    said = naming.text(reason, field="reason", limit=4000)
    if isinstance(seconds, bool) or not 0 <= seconds <= 86_400:
        sentence = _("Say how long the drill took, in whole seconds from 0 to 86,400.")
        raise BadInput(sentence, code="drill.seconds", fields={"seconds": sentence})
    served = Deployment.objects.filter(environment=environment, model=version.model).exclude(kind=DeploymentKind.DRILL)
    place = {"version": version.label, "environment": environment.slug}
    if not served.open().exists():
        raise Conflict(_("Nothing of this model serves in %(environment)s.") % place, code="drill.nothing_serves")
    if not served.filter(version=version).exists():
        sentence = _("%(version)s never served in %(environment)s: there is no way back to it to practise.")
        raise Conflict(sentence % place, code="drill.never_served")
    row = _drill(environment, version, said, timezone.now(), by)
    facts = {"digest": version.digest, "seconds": seconds, "worked": worked, "at": row.since.isoformat()}
    log.append(Event.ROLLBACK_DRILLED, row, facts=facts, reason=said, by=by)
    return row


def _drill(environment: Environment, version: ModelVersion, reason: str, at: datetime, by: Actor) -> Deployment:
    row = Deployment(
        environment=environment,
        model=version.model,
        version=version,
        kind=DeploymentKind.DRILL,
        strategy=Strategy.ALL_AT_ONCE,
        weight=0,
        digest=version.digest,
        actor_id=by.id,
        since=at,
        until=at,
        reason=reason,
    )
    row.save()
    return row


def find(number: int) -> Deployment:
    """The deployment with this number, with the names that a page shows. Raises ``NotKnown``."""
    found = Deployment.objects.with_names().filter(pk=number).first()
    if found is None:
        raise NotKnown(_("There is no deployment %(number)s.") % {"number": number}, code="deployment.unknown")
    return found


def _said(problem: Problem) -> str:
    return {
        "missing": _("This is missing."),
        "unknown": _("This field is not known."),
        "text": _("Write a text of at most 2,000 characters."),
        "whole": _("Write a whole number from 0; a fraction goes into a text."),
        "percent": _("Write whole percent from 0 to 100."),
        "moment": _("Write a moment with its offset, for example 2027-01-01T00:00:00Z."),
        "digest": _("Write sha256: and 64 lower-case hexadecimal digits."),
        "region": _("Write a region as provider:region."),
        "jurisdiction": _("Write a country as two capital letters, for example AE, or AE-DIFC."),
        "list": _("Write a list of 1 to 1,000 entries."),
        "object": _("Write an object with the fields of this strategy."),
        "not_one": _("Write one of: %(allowed)s.") % {"allowed": problem.allowed},
        "other_digest": _("This is not the digest of the version that is deployed."),
        "order": _("The moments must follow one another."),
        "sum": _("The shares must come to 100 %%.") % (),
        "counts": _("More devices are counted than there are."),
        "no_arm": _("No arm has this name."),
        "bounds": _("A floor lies above its ceiling, or the floors come to more than 100."),
    }[problem.why]
