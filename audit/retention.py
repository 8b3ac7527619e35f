"""The end of a log's stay in the live tables: after its term, with a verified export at hand, as an entry."""

from __future__ import annotations

import hashlib
import zipfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from django.conf import settings
from django.utils.translation import gettext as _

from audit import log, queries, shards
from audit.actors import Actor
from audit.entry_copies import read_copy
from audit.keyring import keyring
from audit.merkle.checkpoint import Head, NoteInvalid, verify
from audit.merkle.tree import GrowingTree, leaf_hash
from audit.models.events import Event
from audit.recovery import as_owner
from audit.refusals import Conflict, NotKnown
from audit.shards import Shard


def detach(origin: str, export: Path, *, url: str, by: Actor, now: datetime | None = None) -> Shard:
    """Move the entries of a finished log out of the live tables; they stay in a table of their own.

    The term is ``LOG_RETENTION_YEARS``. ``export`` (a folder or zip in tlog-tiles form) must hold every entry of the
    log and its final checkpoint; both are computed again first. Raises ``NotKnown``, ``Conflict``, ``CopyDamaged``.
    """
    shard = next((each for each in shards.shards(queries.fetch) if each.origin == origin), None)
    if shard is None:
        raise NotKnown(_("There is no log called %(origin)s.") % {"origin": origin}, code="log.unknown")
    due = _due(shard)
    if due is None or (now or datetime.now(UTC)) < due:
        raise Conflict(
            _("%(origin)s may be detached from %(due)s on: it must be finished and its term over.")
            % {"origin": origin, "due": f"{due:%Y-%m-%d}" if due else "—"},
            code="log.retained",
        )
    head = _final_head(shard, export)
    facts = {"origin": origin, "size": head.size, "root": head.root.hex(), "export": _digest(export)}
    subject, event_id = f"log:{origin}", log.new_event_id()
    values = log.values_of(subject, {}, "", by)
    commitments = {value.field: value.commitment for value in values}
    data = log.entry_bytes(event_id, Event.LOG_DETACHED, subject, subject, facts=facts, commitments=commitments, by=by)
    with as_owner(url) as connection:
        table = f"audit.entry_{shard.log_id}"
        with connection.cursor() as cursor:
            log.insert(cursor, event_id, subject, data, values)
            cursor.execute(f"ALTER TABLE audit.entry DETACH PARTITION {table}")
            cursor.execute(
                f"CREATE TRIGGER append_only_rows BEFORE UPDATE OR DELETE ON {table}"
                " FOR EACH ROW EXECUTE FUNCTION audit.refuse_change()"
            )
            cursor.execute(
                "INSERT INTO audit.log_state (log_id, kind, event_id) VALUES (%s, 'detached', %s)",
                [shard.log_id, event_id],
            )
    return shard


def _due(shard: Shard) -> datetime | None:
    if shard.state not in ("closed", "lost") or shard.ended_at is None:
        return None
    year = shard.ended_at.year + settings.LOG_RETENTION_YEARS
    try:
        return shard.ended_at.replace(year=year)
    except ValueError:  # the 29th of February
        return shard.ended_at.replace(year=year, month=3, day=1)


def _final_head(shard: Shard, export: Path) -> Head:
    """The final checkpoint of the export, which its own entries must lead to and the log's keys must have signed."""
    tree = GrowingTree()
    for data in read_copy(export):
        tree.append(leaf_hash(data))
    try:
        head = verify(_checkpoint(export), keyring(queries.fetch, shard.log_id).valid_at(tree.size))
    except NoteInvalid as error:
        raise Conflict(
            _("The export's checkpoint is not one of %(origin)s over all its entries: %(problem)s.")
            % {"origin": shard.origin, "problem": error},
            code="log.export",
        ) from error
    if (head.size, head.root) != (tree.size, tree.root()) or head.size != shard.signed:
        raise Conflict(
            _("The export does not hold all %(size)d entries of %(origin)s.")
            % {"size": shard.signed, "origin": shard.origin},
            code="log.export",
        )
    return head


def _checkpoint(export: Path) -> str:
    try:
        if export.is_dir():
            return (export / "checkpoint").read_text()
        with zipfile.ZipFile(export) as bundle:
            return bundle.read("checkpoint").decode()
    except (OSError, KeyError, UnicodeDecodeError, zipfile.BadZipFile) as error:
        raise Conflict(_("%(path)s holds no checkpoint.") % {"path": export}, code="log.export") from error


def _digest(export: Path) -> dict[str, Any]:
    """What the entry says of the export, so that it can be found again."""
    if export.is_dir():
        return {"folder": export.name}
    hashed = hashlib.sha256()
    with export.open("rb") as file:
        while chunk := file.read(1 << 20):
            hashed.update(chunk)
    return {"file": export.name, "sha256": hashed.hexdigest()}
