"""Replacing a person's name by their pseudonym where the registry keeps it in clear.

A version keeps who trained it, because they may not sign it: after an erasure the pseudonym does, and still may not.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from uuid import UUID

from django.db import connection, transaction

from audit import log, payloads, subject_keys
from audit.actors import Actor
from audit.models.events import Event
from audit.models.governed import Governed
from registry.models import Dataset, Deployment, Finding, Incident, Model, ModelVersion, Run

#: What stands in place of an erased free text.
ERASED = "(erased)"
#: Private values of our entries that hold names of people who need not be their writer.
_NAMING = ("trained_by", "contributors", "owner", "before.owner", "after.owner")
#: Who wrote which free text of an incident. Its title is what it is called and stays.
_TOLD_BY = (("opened_by", "reason"), ("frozen_by", "frozen_reason"), ("ended_by", "ended_reason"))
#: Those that hold lines about people, in which a name may stand among other words.
_LINES = ("contacts", "before.contacts", "after.contacts", "author", "document_title")
_PRIVATE = f"SELECT {payloads.COLUMNS} FROM audit.payload p WHERE p.field = ANY (%s)"  # noqa: S608  a constant


@transaction.atomic
def forget_person(names: Collection[str], *, pseudonym: str, by: Actor) -> dict[str, int]:
    """Replace ``names`` (any case) by ``pseudonym``, and erase the free text that this actor wrote.

    Returns how many rows of each kind changed; each change is an entry.
    """
    known = {name.casefold() for name in names}
    changed = {"versions": 0, "runs": 0, "models": 0, "datasets": 0, "deployments": 0, "incidents": 0, "findings": 0}
    for version in ModelVersion.objects.select_related("model").filter(
        pk__in=_naming(ModelVersion, "trained_by", known)
    ):
        people = _replaced(version.trained_by, known, pseudonym)
        ModelVersion.objects.filter(pk=version.pk).update(trained_by=people)
        _record(Event.CONTRIBUTOR_ERASED, version, "trained_by", pseudonym, by)
        changed["versions"] += 1
    for run in Run.objects.filter(pk__in=_naming(Run, "contributors", known)):
        people = _replaced(run.contributors, known, pseudonym)
        Run.objects.filter(pk=run.pk).update(contributors=people)
        _record(Event.CONTRIBUTOR_ERASED, run, "contributors", pseudonym, by)
        changed["runs"] += 1
    for model in Model.objects.select_for_update():
        owned = model.owner.casefold() in known
        if owned:
            Model.objects.filter(pk=model.pk).update(owner=pseudonym)
            _record(Event.CONTRIBUTOR_ERASED, model, "owner", pseudonym, by)
        changed["models"] += _forget_contact(model, known, pseudonym, by) or owned
    for dataset in Dataset.objects.exclude(owner="").select_for_update():
        if dataset.owner.casefold() in known:
            Dataset.objects.filter(pk=dataset.pk).update(owner=pseudonym)
            _record(Event.CONTRIBUTOR_ERASED, dataset, "owner", pseudonym, by)
            changed["datasets"] += 1
    for row in Deployment.objects.filter(actor_id=pseudonym).exclude(reason__in=("", ERASED)):
        Deployment.objects.filter(pk=row.pk).update(reason=ERASED)
        _record(Event.TEXT_ERASED, row, "reason", pseudonym, by)
        changed["deployments"] += 1
    for writer, field in _TOLD_BY:
        for told in Incident.objects.filter(**{writer: pseudonym}).exclude(**{f"{field}__in": ("", ERASED)}):
            Incident.objects.filter(pk=told.pk).update(**{field: ERASED})
            _record(Event.TEXT_ERASED, told, field, pseudonym, by)
            changed["incidents"] += 1
    for finding in Finding.objects.filter(closed_by=pseudonym).exclude(reason__in=("", ERASED)):
        Finding.objects.filter(pk=finding.pk).update(reason=ERASED)
        _record(Event.TEXT_ERASED, finding, "reason", pseudonym, by)
        changed["findings"] += 1
    return changed


def recorded_names(names: Collection[str]) -> list[tuple[UUID, str]]:
    """Private values of entries that name one of ``names`` though somebody else wrote them: event id and field.

    Raises ``KeysUnavailable``: names that cannot be read cannot be looked for.
    """
    known = {name.casefold() for name in names}
    with connection.cursor() as cursor:
        cursor.execute(_PRIVATE, [[*_NAMING, *_LINES]])
        sealed = [payloads.Sealed(*row) for row in cursor.fetchall()]
    subject_keys.ciphers({row.key_id for row in sealed})
    told = zip(sealed, payloads.reveal(sealed), strict=True)
    return [
        (row.event_id, row.field)
        for row, value in told
        if value.data is not None and _is_named(row.field, value.text, known)
    ]


def _is_named(field: str, text: str, known: Collection[str]) -> bool:
    if field in _LINES:
        return mentions(text, known)
    return not {name.strip().casefold() for name in text.split(",")}.isdisjoint(known)


def mentions(text: str, known: Collection[str]) -> bool:
    """Whether a name stands in a line of text, whole: ``yusuf`` in ``yusuf@bank.example``, not in ``yusufi``."""
    return any(re.search(rf"(?<!\w){re.escape(name)}(?!\w)", text.casefold()) for name in known)


def _forget_contact(model: Model, known: Collection[str], pseudonym: str, by: Actor) -> bool:
    """Replace each line of contacts that names the person; a contact may be anything but their name alone."""
    contacts = [pseudonym if mentions(line, known) else line for line in model.contacts]
    if contacts == model.contacts:
        return False
    Model.objects.filter(pk=model.pk).update(contacts=list(dict.fromkeys(contacts)))
    _record(Event.CONTRIBUTOR_ERASED, model, "contacts", pseudonym, by)
    return True


def _naming(table: type[ModelVersion | Run], column: str, names: Collection[str]) -> list[int]:
    sql = (
        f"SELECT id FROM {table._meta.db_table} WHERE EXISTS"  # noqa: S608  names of our own tables
        f" (SELECT FROM jsonb_array_elements_text({column}) AS name WHERE lower(name) = ANY (%s)) FOR UPDATE"
    )
    with connection.cursor() as cursor:
        cursor.execute(sql, [sorted(names)])
        return [key for (key,) in cursor.fetchall()]


def _replaced(people: list[str], names: Collection[str], pseudonym: str) -> list[str]:
    return [pseudonym if name.casefold() in names else name for name in people]


def _record(event: Event, row: Governed, field: str, pseudonym: str, by: Actor) -> None:
    log.append(event, row, facts={"field": field, "person": pseudonym}, by=by)
