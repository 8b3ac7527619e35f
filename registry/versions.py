"""Models and their versions: registered once, found by name, number and digest, never changed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

from django.db import transaction
from django.db.models import Max
from django.utils.translation import gettext as _

from audit import log
from audit.actors import Actor
from audit.changes import changed
from audit.models.events import Event
from audit.refusals import BadInput, Conflict, NotKnown
from registry import dependencies as requirements
from registry import naming, signals
from registry.models import Model, ModelVersion, Risk

#: Characters of what is said about a model.
LIMITS = {"title": 200, "owner": 200, "purpose": 4000, "intended_use": 4000, "limits": 4000}
_MAY_BE_EMPTY = ("intended_use", "limits")


@transaction.atomic
def register_model(
    name: str,
    *,
    title: str,
    owner: str,
    purpose: str,
    risk: str,
    risk_reason: str,
    intended_use: str = "",
    limits: str = "",
    contacts: Iterable[str] = (),
    by: Actor,
) -> Model:
    """Add a model. Raises ``BadInput`` for a malformed name or risk, ``Conflict`` when the name is taken."""
    naming.name(name)
    naming.choice(risk, Risk.values, field="risk")
    if Model.objects.filter(name=name).exists():
        raise Conflict(_("A model called “%(name)s” exists already.") % {"name": name}, code="model.exists")
    model = Model(
        name=name,
        title=naming.text(title, field="title", limit=200),
        owner=naming.text(owner, field="owner", limit=200),
        purpose=naming.text(purpose, field="purpose", limit=4000),
        risk=risk,
        risk_reason=naming.text(risk_reason, field="risk_reason", limit=4000),
        intended_use=_said("intended_use", intended_use),
        limits=_said("limits", limits),
        contacts=naming.contacts(contacts),
    )
    model.save()
    people = {"owner": model.owner, "contacts": _lines(model)}
    log.append(Event.MODEL_REGISTERED, model, facts=facts_of(model), private=people, by=by)
    return model


@transaction.atomic
def change_model(
    model: Model,
    *,
    risk: str | None = None,
    risk_reason: str | None = None,
    contacts: Iterable[str] | None = None,
    seen: str = "",
    reason: str = "",
    by: Actor,
    **said: str | None,
) -> Model:
    """Change what is said about a model: title, owner, purpose, intended_use, limits; ``None`` keeps.

    A risk needs its reason, also when only the reason changes. The entry states before and after, people privately.
    ``seen`` is the ``stamp`` of what a person looked at. Raises ``BadInput``, and ``Conflict`` when somebody changed
    the model meanwhile. Writes nothing when nothing differs.
    """
    locked = Model.objects.select_for_update().get(pk=model.pk)
    if seen and seen != stamp(locked):
        raise Conflict(
            _("%(name)s was changed while you looked at it. Nothing was written: look at it again.")
            % {"name": locked.name},
            code="model.changed_meanwhile",
        )
    was, people = facts_of(locked), {"owner": locked.owner, "contacts": _lines(locked)}
    if risk is not None or risk_reason is not None:
        locked.risk = naming.choice(locked.risk if risk is None else risk, Risk.values, field="risk")
        locked.risk_reason = naming.text(risk_reason or "", field="risk_reason", limit=4000)
    for field, value in said.items():
        if value is not None:
            setattr(locked, naming.choice(field, LIMITS, field="field"), _said(field, value))
    if contacts is not None:
        locked.contacts = naming.contacts(contacts)
    facts, now = facts_of(locked), {"owner": locked.owner, "contacts": _lines(locked)}
    if facts == was and now == people:
        return locked
    locked.save()
    differ = [key for key in now if now[key] != people[key]]
    private = {f"before.{key}": people[key] for key in differ} | {f"after.{key}": now[key] for key in differ}
    log.append(
        Event.MODEL_CHANGED, locked, facts={**facts, **changed(was, facts)}, private=private, reason=reason, by=by
    )
    return locked


def stamp(model: Model) -> str:
    """What a form carries so that nobody overwrites what they have not seen: it changes with anything that is said."""
    told = json.dumps({**facts_of(model), "owner": model.owner, "contacts": model.contacts}, sort_keys=True)
    return hashlib.sha256(told.encode()).hexdigest()[:32]


def facts_of(model: Model) -> dict[str, str]:
    """What the public entries say of a model; its owner and contacts may be people and are private."""
    return {
        "title": model.title,
        "purpose": model.purpose,
        "risk": model.risk,
        "risk_reason": model.risk_reason,
        "intended_use": model.intended_use,
        "limits": model.limits,
    }


def _said(field: str, value: str) -> str:
    check = naming.optional_text if field in _MAY_BE_EMPTY else naming.text
    return check(value, field=field, limit=LIMITS[field])


def _lines(model: Model) -> str:
    return "\n".join(model.contacts)


@transaction.atomic
def register_version(
    model: Model,
    *,
    digest: str,
    trained_by: Iterable[str],
    number: int | None = None,
    run_id: str = "",
    tracking_server: str = "",
    metrics: Mapping[str, Any] | None = None,
    schema: Mapping[str, Any] | None = None,
    source_uri: str = "",
    dependencies: Iterable[str] | None = None,
    by: Actor,
) -> ModelVersion:
    """Add an immutable version; without ``number`` it gets the next one.

    Registering the same number with the same digest again answers the stored version and writes nothing. Raises
    ``Conflict`` when that number has another digest, ``BadInput`` for a malformed digest, metric or contributor list.
    ``dependencies`` are requirements as pip writes them, ``scikit-learn==1.9.0``; ``None`` means that nobody knows.
    """
    naming.digest(digest)
    contributors = naming.people(trained_by)
    decimals = naming.metrics(metrics)
    needs = None if dependencies is None else requirements.read(dependencies)
    locked = Model.objects.select_for_update().get(pk=model.pk)  # two CI jobs cannot take the same number
    if number is None:
        same = locked.versions.filter(digest=digest, run_id=run_id).select_related("model").first()
        if same is not None and run_id:
            return same
        number = (locked.versions.aggregate(last=Max("number"))["last"] or 0) + 1
    stored = locked.versions.select_related("model").filter(number=number).first()
    if stored is not None:
        if stored.digest == digest:
            return stored
        raise Conflict(_disagreement(stored, digest), code="version.digest_differs")
    version = ModelVersion(
        model=locked,
        number=number,
        digest=digest,
        run_id=run_id,
        tracking_server=tracking_server,
        trained_by=contributors,
        metrics=decimals,
        schema=dict(schema or {}),
        source_uri=source_uri,
        dependencies=needs,
    )
    version.save()
    _record(version, by)
    signals.version_registered.send(sender=ModelVersion, version=version, by=by)
    return version


def _record(version: ModelVersion, by: Actor) -> None:
    facts = {
        "digest": version.digest,
        "run_id": version.run_id,
        "metrics": version.metrics,
        "source_uri": version.source_uri,
        "dependencies": requirements.digest_of(version.dependencies),
    }
    private = {"trained_by": ", ".join(version.trained_by)}
    log.append(Event.VERSION_REGISTERED, version, facts=facts, private=private, by=by)


def find_model(name: str) -> Model:
    """The model with this name. Raises ``NotKnown``."""
    model = Model.objects.filter(name=name).first()
    if model is None:
        raise NotKnown(
            _("There is no model called “%(name)s” in the registry.") % {"name": name[:128]}, code="model.unknown"
        )
    return model


def resolve(name: str, number: int | str | None = None, digest: str | None = None) -> ModelVersion:
    """The version that name, number and digest agree on; the digest is authoritative.

    With a number and a digest both must fit; with a digest alone it must name one version of the model. Raises
    ``NotKnown`` for an unknown model, number or digest, ``Conflict`` when the digest disagrees with name and number,
    ``BadInput`` for a number or digest that is malformed.
    """
    if digest is not None:
        naming.digest(digest)
    if number is None:
        return _by_digest(find_model(name), digest)
    wanted = ModelVersion.objects.select_related("model").filter(model__name=name, number=_number(number))
    version = next(iter(wanted.order_by()[:1]), None)  # one query: every gate check comes through here
    if version is None:
        last = find_model(name).versions.aggregate(last=Max("number"))["last"]
        raise NotKnown(
            _("%(name)s has no version %(number)s; the newest is %(last)s.")
            % {"name": name, "number": number, "last": last or _("none")},
            code="version.unknown",
        )
    if digest is not None and version.digest != digest:
        raise Conflict(_disagreement(version, digest), code="version.digest_differs")
    return version


def named(text: str, model: str) -> ModelVersion:
    """``2`` of ``model``, ``another-model/7`` or ``version:another-model/7``. Raises what ``resolve`` raises."""
    name, _slash, number = text.strip().removeprefix("version:").rpartition("/")
    return resolve(name or model, number)


def _number(value: int | str) -> int:
    text = str(value).strip()
    if not text.isascii() or not text.isdigit() or not 1 <= int(text[:10]) <= 2_147_483_647 or len(text) > 10:
        raise BadInput(
            _("“%(value)s” is not a version number: write a whole number from 1.") % {"value": text[:40]},
            code="version.number_invalid",
            fields={"version": _("A whole number from 1.")},
        )
    return int(text)


def _by_digest(model: Model, digest: str | None) -> ModelVersion:
    if digest is None:
        raise BadInput(
            _("Name the version of %(name)s by its number, its digest, or both.") % {"name": model.name},
            code="version.missing",
            fields={"version": _("A number or a digest is needed.")},
        )
    found = list(model.versions.select_related("model").filter(digest=digest)[:2])
    if not found:
        raise NotKnown(
            _("No version of %(name)s has the digest %(digest)s.") % {"name": model.name, "digest": digest},
            code="version.unknown",
        )
    if len(found) > 1:
        raise Conflict(
            _("Several versions of %(name)s have the digest %(digest)s: name the number too.")
            % {"name": model.name, "digest": digest},
            code="version.ambiguous",
        )
    return found[0]


def _disagreement(version: ModelVersion, digest: str) -> str:
    return _("The registry knows %(label)s as %(stored)s, but the request says %(sent)s. Nothing was changed.") % {
        "label": version.label,
        "stored": version.digest,
        "sent": digest,
    }
