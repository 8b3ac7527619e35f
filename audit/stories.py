"""One entry as people understand it: its change as a sentence and a table, and what happened around it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.utils.translation import gettext as _

from audit.models.events import Event
from audit.queries import EntryRow, Filters, search, sentence_of
from audit.witnesses import queries as witnesses
from audit.witnesses.queries import Witnessed

#: Entries of the same request that are listed; the link to the log shows all.
AROUND = 50


@dataclass(frozen=True, slots=True)
class Change:
    """One value before and after, as text; empty when there was or is none."""

    field: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Bracket:
    """Between which witnessed moments an entry came into the log (design 5.11); None where nobody can say."""

    not_before: datetime | None
    not_after: datetime | None


@dataclass(frozen=True, slots=True)
class Around:
    """What belongs to an entry: others of its request, the decision that it names, the sign-offs under it."""

    request: list[EntryRow]
    decision: str
    signoffs: list[EntryRow]


def sentence(event: str, subject: str, facts: Mapping[str, Any]) -> str:
    """What a person reads after the actor's name, with the change itself where the facts hold it."""
    before, after = _sides(facts)
    if event == Event.ALIAS_MOVED and "version" in after:
        model, _slash, alias = subject.partition(":")[2].rpartition("/")
        named = {
            "alias": alias,
            "model": model,
            "from": _number(before.get("version")),
            "to": _number(after["version"]),
        }
        if named["from"]:
            return _("moved the alias %(alias)s of %(model)s from version %(from)s to version %(to)s") % named
        return _("set the alias %(alias)s of %(model)s to version %(to)s") % named
    if event in (Event.ROLE_GRANTED, Event.ROLE_REVOKED) and "role" in facts:
        granted = event == Event.ROLE_GRANTED
        return (_("granted the role %(role)s") if granted else _("revoked the role %(role)s")) % {"role": facts["role"]}
    plain = sentence_of(event)
    found = changes(facts)
    if "from" in facts and "to" in facts:
        return _("%(did)s (from %(from)s to %(to)s)") % {"did": plain, "from": facts["from"], "to": facts["to"]}
    if len(found) == 1:
        (one,) = found
        named = {"did": plain, "field": one.field, "from": one.before or _("none"), "to": one.after or _("none")}
        return _("%(did)s: %(field)s from %(from)s to %(to)s") % named
    if found:
        return _("%(did)s: %(fields)s") % {"did": plain, "fields": ", ".join(each.field for each in found)}
    return plain


def changes(facts: Mapping[str, Any]) -> list[Change]:
    """Each value that the entry says was changed, in the order of the entry."""
    before, after = _sides(facts)
    return [Change(key, _text(before.get(key)), _text(after.get(key))) for key in {**before, **after}]


def around(row: EntryRow) -> Around:
    """What belongs to the entry. Two queries at most for its request, two for its sign-offs."""
    request: list[EntryRow] = []
    if row.request_id:
        rows = search(Filters(request_id=row.request_id), limit=AROUND).rows
        request = [each for each in rows if each.event_id != row.event_id]
    named = [row, *request]
    decision = _decision(row) or _only(_decision(each) for each in request)
    promotions = (each.subject for each in named if each.subject.startswith("promotion:"))
    promotion = row.subject if row.subject.startswith("promotion:") else _only(promotions)
    signoffs: list[EntryRow] = []
    if promotion:
        filters = Filters(event=Event.SIGNOFF_GIVEN.value, subject=promotion, through=row.index)
        signoffs = search(filters, limit=AROUND).rows
    return Around(request, decision, [each for each in signoffs if each.event_id != row.event_id])


def bracket(log: int, data: bytes, covering: Witnessed | None) -> Bracket:
    """When the entry came into the log, by the clocks of witnesses alone. One query when it names a checkpoint.

    It names the newest witnessed checkpoint that its writer knew, so it is younger; the first checkpoint over it that
    a quorum cosigned is the other end.
    """
    known = json.loads(data).get("after")
    older = None
    if isinstance(known, dict) and isinstance(known.get("size"), int) and known["size"] > 0:
        found = witnesses.witnessed_at(log, known["size"] - 1)
        if found is not None and (found.size, found.root_base64) == (known["size"], known.get("root")):
            older = found.at
    return Bracket(older, covering.at if covering is not None else None)


def _sides(facts: Mapping[str, Any]) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    before, after = facts.get("before"), facts.get("after")
    if isinstance(before, dict) and isinstance(after, dict):
        return before, after
    if isinstance(facts.get("from"), str) and isinstance(facts.get("to"), str):
        return {"state": facts["from"]}, {"state": facts["to"]}
    return {}, {}


def _decision(row: EntryRow) -> str:
    for key in ("decision", "decision_id", "decision_seen"):
        if isinstance(found := row.facts.get(key), str) and found.startswith("dec_"):
            return found
    return ""


def _only(names: Iterable[str]) -> str:
    """The one name among ``names``; a request about several things says nothing of this entry."""
    found = set(names) - {""}
    return found.pop() if len(found) == 1 else ""


def _number(version: Any) -> str:
    return str(version).rpartition("/")[2] if version else ""


def _text(value: Any) -> str:
    if value is None or value == "":
        return ""
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        return ", ".join(value)
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True)
