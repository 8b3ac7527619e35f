"""Removing the demo story: its rows go, each with an entry; the log keeps everything and still verifies."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from django.apps import apps
from django.db import connection, transaction
from django.db.models import ForeignObjectRel
from django.utils.translation import gettext as _

from audit import log, queries
from audit.models.events import Event
from audit.models.governed import Governed
from audit.refusals import Conflict
from config.story.people import STORY

#: The request id that every entry of the story carries; it is how the story is told from the user's own records.
REQUEST_ID = "demo-story"


def is_seeded() -> bool:
    """Whether the story was played to its end and not wiped since."""
    ends = {Event.STORY_SEEDED.value, Event.STORY_WIPED.value}
    newest = [page.rows[0] for event in ends if (page := queries.search(queries.Filters(event=event), limit=1)).rows]
    return bool(newest) and max(newest, key=lambda row: row.recorded_at).event == Event.STORY_SEEDED


def object_keys() -> list[str]:
    """``table/id`` of every row that the story wrote and that still stands, newest first, each once."""
    removed: set[str] = set()
    keys: dict[str, None] = {}
    for row in _entries():
        if row.event == Event.RECORD_REMOVED:
            removed.add(row.object_key)
        elif "/" in row.object_key and row.object_key not in removed:
            keys[row.object_key] = None
    return list(keys)


def _entries() -> Iterator[queries.EntryRow]:
    before: int | None = None
    while True:
        page = queries.search(queries.Filters(request_id=REQUEST_ID), before=before, limit=queries.MAX_PAGE)
        yield from page.rows
        if page.older is None:
            return
        before = page.older


def wipe(*, later: bool = False) -> int:
    """Delete the story's rows in one transaction; ``later``: also what others wrote since that refers to them.

    Returns how many. Raises Conflict when such later rows stand and ``later`` is False: nothing is removed then.
    """
    tables = {model._meta.db_table: model for model in apps.get_models() if issubclass(model, Governed)}
    with transaction.atomic():
        rows = [row for key in object_keys() if (row := _row(tables, key)) is not None]
        others = _referring(rows)
        if others and not later:
            raise Conflict(
                _("The story was not removed, because records that came later refer to it: %(records)s.")
                % {"records": _counted(others)},
                code="story.in_use",
            )
        for row in (*others, *rows):  # all entries first: the name of a row may need the name of another
            log.append(Event.RECORD_REMOVED, row, facts={"record": row.object_key}, by=STORY)
        for row in (*others, *rows):
            _remove(row)
        log.append(Event.STORY_WIPED, "story:demo", facts={"records": len(rows), "later": len(others)}, by=STORY)
    return len(rows) + len(others)


def _referring(rows: list[Governed]) -> list[Governed]:
    """Governed rows that refer to one of these, directly or through another; those that refer come first."""
    seen: dict[tuple[type[Governed], int], Governed] = {(type(row), row.pk): row for row in rows}
    found: list[Governed] = []
    waiting = list(rows)
    while waiting:
        row = waiting.pop()
        for relation in _relations_to(type(row)):
            child = relation.related_model
            if not (isinstance(child, type) and issubclass(child, Governed)):
                continue
            for each in child._default_manager.filter(**{relation.field.name: row.pk}):
                if (child, each.pk) not in seen:
                    seen[child, each.pk] = each
                    found.insert(0, each)
                    waiting.append(each)
    return found


def _relations_to(model: type[Governed]) -> list[ForeignObjectRel]:
    """Every foreign key to ``model``, those that it has no name for as well."""
    fields = model._meta.get_fields(include_hidden=True)
    return [field for field in fields if isinstance(field, ForeignObjectRel) and not field.many_to_many]


def _counted(rows: list[Governed]) -> str:
    """``3 gate decisions, 1 promotion``: how many of each kind."""
    kinds = Counter((row._meta.verbose_name_plural, row._meta.verbose_name) for row in rows)
    return ", ".join(f"{n} {one if n == 1 else many}" for (many, one), n in sorted(kinds.items(), key=str))


def _row(tables: dict[str, type[Governed]], key: str) -> Governed | None:
    table, _slash, number = key.partition("/")
    model = tables.get(table)
    if model is None or not number.isdigit():
        return None
    found: Governed | None = model._default_manager.filter(pk=int(number)).first()
    return found


def _remove(row: Governed) -> None:
    """Delete one row and what hangs on it without an identity of its own; foreign keys are checked at COMMIT."""
    for relation in _relations_to(type(row)):
        child = relation.related_model
        if isinstance(child, type) and not issubclass(child, Governed):
            child._default_manager.filter(**{relation.field.name: row.pk})._raw_delete(connection.alias)
    type(row)._default_manager.filter(pk=row.pk)._raw_delete(connection.alias)
