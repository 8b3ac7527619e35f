"""Governed rows against the log: what a Merkle tree cannot see, because the entry was removed before it got in (A12).

Three rules that hold for every honest history, whatever was rolled back, restored or committed late:
a row that exists has an entry; a row that its newest entry removed does not exist, and a row whose newest entry did not
remove it does; and a transaction that wrote entries wrote one for every governed row that it left behind.
The last rule knows a row's transaction by ``xmin``. It says nothing about rows written under a savepoint or before a
restore, whose ``xmin`` is of another transaction: then a deleted entry of a later change to an old row stays unseen.
The entries of a detached log are no longer here: for the first rule the list of what they were about counts instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.utils.translation import gettext as _

from audit.models.events import Event
from audit.posture import governed_tables
from audit.stored_tree import Fetch
from audit.verification.verdict import Step

_SHOWN = 20

# One pass over rows and entries together: a join for each table would read the entries as often as there are tables.
_ROWS = " UNION ALL ".join
_ROW = "SELECT '{table}/' || id AS object_key, xmin AS version FROM {table}"
_WITHOUT_ENTRY = """
    SELECT r.object_key FROM ({rows}) r
    WHERE NOT EXISTS (SELECT FROM audit.entry e WHERE e.object_key = r.object_key)
    AND NOT EXISTS (SELECT FROM audit.log_state s JOIN audit.event v ON v.log_id = s.log_id
                    WHERE s.kind = 'detached' AND v.object_key = r.object_key) LIMIT %s
"""
# The newest entry of each key that has no row, unless it removed the row.
_WITHOUT_ROW = """
    SELECT gone.object_key FROM (
        SELECT DISTINCT e.object_key FROM audit.entry e
        WHERE split_part(e.object_key, '/', 1) = ANY(%s)
        AND NOT EXISTS (SELECT FROM ({rows}) r WHERE r.object_key = e.object_key)) gone
    WHERE (SELECT convert_from(n.entry, 'UTF8')::jsonb ->> 'event' FROM audit.entry n
           WHERE n.object_key = gone.object_key ORDER BY n.log_id DESC, n.id DESC LIMIT 1) <> %s LIMIT %s
"""
_REMOVED_BUT_THERE = """
    SELECT r.object_key FROM ({rows}) r JOIN audit.event v ON v.object_key = r.object_key AND v.event = %s
    WHERE NOT EXISTS (SELECT FROM audit.entry n JOIN audit.entry old ON old.event_id = v.event_id
                      WHERE n.object_key = r.object_key AND (n.log_id, n.id) > (old.log_id, old.id)) LIMIT %s
"""
# An entry's own xmin equals its txid only in the cluster and the (sub)transaction that wrote it.
_CHANGED_WITHOUT_ENTRY = """
    SELECT r.object_key FROM ({rows}) r
    JOIN (SELECT DISTINCT e.txid FROM audit.entry e WHERE e.xmin = e.txid::xid) written
        ON written.txid::xid = r.version
    WHERE NOT EXISTS (SELECT FROM audit.entry e WHERE e.txid = written.txid AND e.object_key = r.object_key) LIMIT %s
"""


def completeness_step(fetch: Fetch) -> Step:
    """Every governed row of every governed table against all entries, numbered or not."""
    step = Step("completeness", "")
    there = {name for (name,) in fetch("SELECT relname FROM pg_class WHERE relname = ANY(%s)", [governed_tables()])}
    tables = [table for table in governed_tables() if table in there]
    for missing in sorted(set(governed_tables()) - there):
        step.find(_("the governed table %(name)s does not exist") % {"name": missing})
    if not tables:
        step.detail = _("no table is governed")
        return step
    removed = Event.RECORD_REMOVED.value
    rows = _ROWS(_ROW.format(table=table) for table in tables)
    sentences = (
        (_("%(key)s exists without an entry"), _WITHOUT_ENTRY, [_SHOWN]),
        (_("%(key)s is gone and no entry removed it"), _WITHOUT_ROW, [tables, removed, _SHOWN]),
        (
            _("%(key)s was removed by its newest entry and exists"),
            _REMOVED_BUT_THERE,
            [removed, _SHOWN],
        ),
        (_("%(key)s was changed by a transaction that recorded other rows only"), _CHANGED_WITHOUT_ENTRY, [_SHOWN]),
    )
    for sentence, statement, values in sentences:
        for key in _keys(fetch, statement.format(rows=rows), values):
            step.find(sentence % {"key": key})
    count = fetch(f"SELECT count(*) FROM ({rows}) r", [])[0][0]  # noqa: S608  names checked by governed()
    step.detail = _("%(n)s rows of %(tables)d governed tables have their entries") % {
        "n": f"{count:,}",
        "tables": len(tables),
    }
    return step


def _keys(fetch: Fetch, statement: str, values: Sequence[Any]) -> list[str]:
    return [row[0] for row in fetch(statement, values)]
