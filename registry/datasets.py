"""Data sets: registered with what the law asks about them; claimed by programs, stated and confirmed by people.

A claim (``change_dataset``) fills what nobody confirmed. What a person confirmed changes by such a person only
(``state_dataset``), and never by a claim, however often it is repeated.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from audit import log
from audit.actors import Actor
from audit.changes import changed
from audit.models.events import Event
from audit.refusals import BadInput, Conflict, NotKnown
from registry import jurisdictions, naming, regions, signals
from registry.models import FACTS, GATE_FACTS, Classification, Dataset, LawfulBasis, Perimeter

#: Characters of the facts that are free text.
LIMITS = {"owner": 200, "retention": 400, "provenance": 4000}


@transaction.atomic
def register_dataset(
    name: str,
    *,
    classification: str,
    subjects: Sequence[str],
    regions_held: Sequence[str],
    digest: str = "",
    source_uri: str = "",
    confirmed: bool = False,
    said: Mapping[str, str] | None = None,
    by: Actor,
) -> Dataset:
    """Add a data set. ``unknown`` and empty lists are facts too: every gate denies on them, none passes.

    ``said`` holds what else is known of it: owner, perimeter, lawful_basis, retention, provenance. ``confirmed`` is the
    word of a person for all that a gate reads. Raises ``BadInput`` for an unknown classification, jurisdiction or
    region, ``Conflict`` for a taken name.
    """
    naming.name(name)
    if Dataset.objects.filter(name=name).exists():
        raise Conflict(_("A data set “%(name)s” exists already.") % {"name": name}, code="dataset.exists")
    given = {"classification": classification, "subjects": subjects, "regions": regions_held, **(said or {})}
    dataset = Dataset(name=name, digest=digest[:128], source_uri=source_uri[:1000], **_checked(given))
    if confirmed:
        _confirm(dataset, [fact for fact in GATE_FACTS if dataset.says(fact)])
    dataset.save()
    log.append(Event.DATASET_REGISTERED, dataset, facts=facts_of(dataset), private={"owner": dataset.owner}, by=by)
    signals.dataset_changed.send(sender=Dataset, dataset=dataset, by=by)
    return dataset


@transaction.atomic
def change_dataset(
    dataset: Dataset,
    *,
    classification: str | None = None,
    subjects: Sequence[str] | None = None,
    regions_held: Sequence[str] | None = None,
    said: Mapping[str, str] | None = None,
    reason: str = "",
    by: Actor,
) -> Dataset:
    """What a program claims; ``None`` keeps, and what a person confirmed stays. Writes nothing when nothing differs."""
    claimed = {"classification": classification, "subjects": subjects, "regions": regions_held, **(said or {})}
    locked = Dataset.objects.select_for_update().get(pk=dataset.pk)
    given = {fact: value for fact, value in claimed.items() if value is not None and fact not in locked.confirmed_facts}
    return _changed(locked, _checked(given), locked.confirmed_facts, reason, by)


@transaction.atomic
def state_dataset(
    dataset: Dataset,
    given: Mapping[str, Any],
    *,
    confirmed_facts: Collection[str] | None = None,
    may_confirm: Callable[[], object],
    seen: str = "",
    reason: str = "",
    by: Actor,
) -> Dataset:
    """What a person says: ``given`` maps some of ``FACTS`` to values; ``confirmed_facts`` is the whole new list.

    ``may_confirm`` is called when a confirmation is given or taken back, or a confirmed fact changes; it raises
    ``NotPermitted``. A fact that becomes unknown is no longer confirmed. ``seen`` is the ``stamp`` of what the person
    looked at. Raises ``BadInput`` for a value that means nothing, for confirming what nobody said, and for touching
    what is confirmed without a reason; ``Conflict`` when somebody changed the data set meanwhile.
    """
    locked = Dataset.objects.select_for_update().get(pk=dataset.pk)
    if seen and seen != stamp(locked):
        raise Conflict(
            _("%(name)s was changed while you looked at it. Nothing was written: look at it again.")
            % {"name": locked.name},
            code="dataset.changed_meanwhile",
        )
    values = _checked(given)
    was = set(locked.confirmed_facts)
    wanted = was if confirmed_facts is None else _known(confirmed_facts)
    touched = {fact for fact, value in values.items() if getattr(locked, fact) != value} & was
    if touched or wanted != was:
        may_confirm()
    if (touched or was - wanted) and not reason.strip():
        sentence = _("Say why: %(facts)s was confirmed.") % {"facts": ", ".join(sorted(touched | (was - wanted)))}
        raise BadInput(sentence, code="dataset.reason", fields={"reason": sentence})
    return _changed(locked, values, wanted, reason.strip(), by, asked=confirmed_facts is not None)


def stamp(dataset: Dataset) -> str:
    """What a form carries so that nobody overwrites what they have not seen: it changes with any fact."""
    told = json.dumps({**facts_of(dataset), "owner": dataset.owner}, sort_keys=True)
    return hashlib.sha256(told.encode()).hexdigest()[:32]


def find_dataset(name: str) -> Dataset:
    """The data set with this name. Raises ``NotKnown``."""
    dataset = Dataset.objects.filter(name=name).first()
    if dataset is None:
        raise NotKnown(
            _("There is no data set “%(name)s” in the registry.") % {"name": name[:128]}, code="dataset.unknown"
        )
    return dataset


def facts_of(dataset: Dataset) -> dict[str, Any]:
    """What the public entries say of a data set; its owner may be a person and is private."""
    return {
        "digest": dataset.digest,
        "classification": dataset.classification,
        "subjects": list(dataset.subjects),
        "regions": list(dataset.regions),
        "source_uri": dataset.source_uri,
        "perimeter": dataset.perimeter,
        "lawful_basis": dataset.lawful_basis,
        "retention": dataset.retention,
        "provenance": dataset.provenance,
        "confirmed": dataset.confirmed,
        "confirmed_facts": list(dataset.confirmed_facts),
    }


def _changed(
    locked: Dataset,
    values: Mapping[str, Any],
    confirmed: Collection[str],
    reason: str,
    by: Actor,
    *,
    asked: bool = False,
) -> Dataset:
    """Write what differs, with its entry. ``asked``: the confirmations were named, so each must be possible."""
    was, owned_by = facts_of(locked), locked.owner
    for fact, value in values.items():
        setattr(locked, fact, value)
    unsaid = sorted(fact for fact in confirmed if not locked.says(fact))
    if unsaid and asked:
        sentence = _("Nobody has said yet what these are, so nobody can confirm them: %(facts)s.")
        named = sentence % {"facts": ", ".join(unsaid)}
        raise BadInput(named, code="dataset.unsaid", fields={"confirmed_facts": named})
    _confirm(locked, [fact for fact in confirmed if fact not in unsaid])
    facts = facts_of(locked)
    if facts == was and locked.owner == owned_by:
        return locked
    locked.save()
    owners = {"before.owner": owned_by, "after.owner": locked.owner} if owned_by != locked.owner else {}
    told = {**facts, **changed(was, facts)}
    only_confirmed = not owners and told["after"].keys() <= {"confirmed", "confirmed_facts"}
    if only_confirmed and set(was["confirmed_facts"]) < set(facts["confirmed_facts"]):
        log.append(Event.DATASET_CONFIRMED, locked, facts=told, reason=reason, by=by)
    else:
        log.append(Event.DATASET_CHANGED, locked, facts=told, private=owners, reason=reason, by=by)
    signals.dataset_changed.send(sender=Dataset, dataset=locked, by=by)
    return locked


def _confirm(dataset: Dataset, confirmed: Collection[str]) -> None:
    dataset.confirmed_facts = [fact for fact in FACTS if fact in confirmed]
    dataset.confirmed = set(GATE_FACTS) <= set(confirmed)


def _known(facts: Collection[str]) -> set[str]:
    return {naming.choice(fact, FACTS, field="confirmed_facts") for fact in facts}


def _checked(given: Mapping[str, Any]) -> dict[str, Any]:
    """The values as they are stored, by fact. Raises ``BadInput`` for the first that means nothing."""
    return {fact: _value(fact, value) for fact, value in given.items()}


def _value(fact: str, value: Any) -> Any:
    if fact == "classification":
        return naming.choice(value, Classification.values, field=fact)
    if fact == "subjects":
        return jurisdictions.known(value, field=fact)
    if fact == "regions":
        return [region.id for region in regions.lookup_all(value, field=fact)]
    if fact == "perimeter":
        return naming.choice(value, ("", *Perimeter.values), field=fact)
    if fact == "lawful_basis":
        return naming.choice(value, ("", *LawfulBasis.values), field=fact)
    return naming.optional_text(value, field=naming.choice(fact, LIMITS, field="fact"), limit=LIMITS[fact])
