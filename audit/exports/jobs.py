"""Every change of an export: asked for, finished, failed. The database is the queue that counts (as in ``explain``)."""

from __future__ import annotations

import errno
import hashlib
import json
import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO, cast

from celery import current_app
from django.conf import settings
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _
from kombu.exceptions import KombuError

from audit import log
from audit.actors import Actor
from audit.advisory import claimed
from audit.exports import bundle
from audit.exports.scope import Scope
from audit.lifecycle import Lifecycle
from audit.models import Event, Export, ExportState, Log
from audit.refusals import Conflict, NotKnown, Refusal
from audit.signer import SignerRefusal, SignerUnavailable
from audit.signer_protocol import SignerClient, read_secret

#: Who writes bundles.
EXPORTER = Actor.system("exporter")
RUN = "audit.run_export"
#: First key of the advisory locks that say which export a living worker holds («expo» in ASCII).
_LOCK_CLASS = 0x6578706F
#: Seconds between two notes of progress.
_BREATH = 0.5

LIFECYCLE = Lifecycle(
    field="state",
    transitions={
        (ExportState.REQUESTED, ExportState.FINISHED): Event.EXPORT_FINISHED,
        (ExportState.REQUESTED, ExportState.FAILED): Event.EXPORT_FAILED,
    },
)

logger = logging.getLogger(__name__)


@transaction.atomic
def request(scope: Scope, *, queue: bool = True, by: Actor) -> Export:
    """Ask for a bundle; a worker writes it after this transaction. Raises ``BadInput`` for an impossible scope.

    Unless the scope names one, the bundle proves that the log extends the checkpoint of the last export.
    """
    scope.check()
    number = log.log_id()
    if not scope.previous:
        last = Export.objects.filter(state=ExportState.FINISHED, log_number=number).order_by("-size").first()
        scope = replace(scope, previous=last.size if last is not None else 0)
    export = Export.objects.create(
        scope=scope.stored(), log_number=number, requested_by=by.id, requested=timezone.now()
    )
    log.append(Event.EXPORT_REQUESTED, export, facts={"scope": export.scope, **export.about}, by=by)
    number = export.pk
    if queue:
        transaction.on_commit(lambda: enqueue(number) and None)
    return export


def enqueue(number: int) -> bool:
    """Tell a worker; False when the broker cannot be reached: ``redeliver`` tells it again."""
    try:
        current_app.send_task(RUN, args=[number], expires=600, retry=False)
    except (KombuError, OSError) as error:
        logger.warning("the broker does not take export %s, it will be sent again: %s", number, error)
        return False
    return True


def redeliver() -> int:
    """Send every export that waits; a worker that holds one already ignores it. Returns how many were taken."""
    waiting = Export.objects.filter(state=ExportState.REQUESTED).order_by("id").values_list("id", flat=True)
    return sum(enqueue(number) for number in waiting)


def perform(number: int, *, by: Actor = EXPORTER) -> str:
    """Write the file of an export that waits, unless a living worker does it already. Returns its state."""
    with claimed(_LOCK_CLASS, number) as mine:
        export = Export.objects.filter(pk=number, state=ExportState.REQUESTED).first() if mine else None
        if export is None:
            return "ignored"
        path = path_of(export)
        with _failures(export, by) as failed:
            _fill(export, path, by)
        if failed:
            path.unlink(missing_ok=True)
        _part(path).unlink(missing_ok=True)
        progress_file(export).unlink(missing_ok=True)
        return str(export.state)


def write_to(export: Export, path: Path, *, by: Actor) -> Export:
    """Write the file of an export to a place of the caller's (a command). Raises ``Conflict`` with what went wrong."""
    with claimed(_LOCK_CLASS, export.pk):
        with _failures(export, by):
            _fill(export, path, by)
        _part(path).unlink(missing_ok=True)
        progress_file(export).unlink(missing_ok=True)
    if export.state != ExportState.FINISHED:
        raise Conflict(export.error, code="export.failed")
    return export


def path_of(export: Export) -> Path:
    """Where the export's file is, or will be."""
    return Path(settings.EXPORT_DIR) / f"export-{export.pk}.zip"


def opened(export: Export) -> BinaryIO:
    """The finished file. Raises ``NotKnown`` when it was moved away, ``Conflict`` when there is none yet."""
    if export.state != ExportState.FINISHED:
        raise Conflict(_("This export has no file yet."), code="export.not_finished")
    try:
        return path_of(export).open("rb")
    except OSError:
        raise NotKnown(
            _("The file of this export is no longer on the server. Ask for the same again: its digest is recorded."),
            code="export.file_gone",
        ) from None


def progress_file(export: Export) -> Path:
    """Says how many entries are written of how many, while a worker is at it."""
    return Path(settings.EXPORT_DIR) / f"export-{export.pk}.progress"


def progress(export: Export) -> tuple[int, int] | None:
    """Entries written and entries in all; None when nobody is at it."""
    try:
        done, every = json.loads(progress_file(export).read_text())
    except (OSError, ValueError, TypeError):
        return None
    return int(done), int(every)


def signer_of(number: int) -> SignerClient:
    """The signer of a log as the exporter may ask it. Raises ``SignerUnavailable``."""
    origin = Log.objects.values_list("origin", flat=True).get(log_id=number)
    return SignerClient(settings.SIGNER_ADDRESS, read_secret(Path(settings.SIGNER_EXPORT_SECRET_FILE)), origin)


def _fill(export: Export, path: Path, by: Actor) -> None:
    folder = Path(settings.EXPORT_DIR)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    part = _part(path)
    part.unlink(missing_ok=True)
    last = 0.0

    def note(done: int, every: int) -> None:
        nonlocal last
        if time.monotonic() - last > _BREATH:
            last = time.monotonic()
            fresh = progress_file(export).with_suffix(".new")
            fresh.write_text(json.dumps([done, every]))
            fresh.replace(progress_file(export))

    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        target = _Hashed(file)
        scope, number = Scope.from_stored(export.scope), export.log_number
        written = bundle.write(
            cast("BinaryIO", target), part.parent, scope, log=number, signer=signer_of(number), progress=note
        )
        file.flush()
        os.fsync(file.fileno())
    facts: dict[str, Any] = {
        "size": written.size,
        "root": written.root,
        "entries": written.entries,
        "disclosed": written.disclosed,
        "length": written.length,
        "sha256": target.hexdigest(),
    }
    part.replace(path)
    with transaction.atomic():
        LIFECYCLE.transition(
            export,
            ExportState.FINISHED,
            facts={**facts, **export.about},
            changes={**facts, "ended": timezone.now()},
            by=by,
        )


class _Hashed:
    """A file that knows the digest of what was written: reading a large bundle again would take as long as writing."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self._sha = file, hashlib.sha256()

    def write(self, data: bytes) -> int:
        self._sha.update(data)
        return self._file.write(data)

    def hexdigest(self) -> str:
        return self._sha.hexdigest()


@contextmanager
def _failures(export: Export, by: Actor) -> Iterator[list[str]]:
    """Record in a sentence why the work ended; the list holds it. A lost database is no verdict: it is tried again."""
    said: list[str] = []
    try:
        yield said
    except Refusal as refusal:
        said.append(refusal.sentence)
    except SignerUnavailable as error:  # it may name a file of this server, which is nothing for the page or the log
        logger.warning("export %s: %s", export.pk, error)
        said.append(_("The manifest could not be signed, so there is no bundle: the signer does not answer."))
    except SignerRefusal as error:
        said.append(_("The manifest could not be signed, so there is no bundle: %(why)s") % {"why": error})
    except LookupError as error:
        said.append(_("The log's tables are not whole: %(why)s. Run «manage.py audit_verify».") % {"why": error})
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            said.append(_("The disk is full, so there is no bundle. Free some space in EXPORT_DIR and ask again."))
        else:
            said.append(_("The file could not be written: %(why)s") % {"why": error.strerror or error})
    if said:
        logger.error("export %s failed: %s", export.pk, said[0])
        with transaction.atomic():
            changes = {"error": said[0], "ended": timezone.now()}
            LIFECYCLE.transition(export, ExportState.FAILED, facts=export.about, reason=said[0], changes=changes, by=by)


def _part(path: Path) -> Path:
    return path.with_name(path.name + ".part")
