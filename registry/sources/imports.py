"""What an import did, kept so that a person sees what was left out and why."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta

from django.utils import timezone
from django.utils.translation import gettext as _

from audit.refusals import Refusal
from registry.models import SourceImport

#: Imports older than this are forgotten, but for the newest of each server.
KEPT = timedelta(days=30)
#: Sentences that are kept of one import; the count says how many there were.
MOST_PROBLEMS = 500


@dataclass(slots=True)
class ImportSummary:
    """What an import wrote; ``problems`` are sentences about what it had to leave out, ``unchanged`` known versions."""

    models: int = 0
    versions: int = 0
    unchanged: int = 0
    aliases: int = 0
    out_of_band: int = 0
    problems: list[str] = field(default_factory=list)

    def add(self, other: ImportSummary) -> None:
        """Count ``other``'s in."""
        for name, value in asdict(other).items():
            setattr(self, name, getattr(self, name) + value)


@contextmanager
def recorded(server: str, address: str) -> Iterator[ImportSummary]:
    """An import from ``server``: its summary is stored at the end, and why it ended when it was refused or died."""
    summary, began, refusal = ImportSummary(), timezone.now(), _("It was interrupted; the next import goes on.")
    try:
        yield summary
        refusal = ""
    except Refusal as caught:
        refusal = caught.sentence
        raise
    finally:
        _keep(server, address, began, refusal[:2000], summary)


def _keep(server: str, address: str, began: datetime, refusal: str, summary: ImportSummary) -> None:
    """One row for an import that did or said something new; the clock's many that find nothing only move its end."""
    counts = {name: value for name, value in asdict(summary).items() if name != "problems"}
    counts["problems"] = len(summary.problems)
    told = {
        "address": address,
        "refusal": refusal,
        "problems": [each[:1000] for each in summary.problems[:MOST_PROBLEMS]],
    }
    newest = SourceImport.objects.filter(server=server).first()
    wrote = summary.models + summary.versions + summary.aliases + summary.out_of_band
    if newest and not wrote and all(getattr(newest, name) == value for name, value in told.items()):
        SourceImport.objects.filter(pk=newest.pk).update(ended=timezone.now(), counts=counts)
        return
    kept = SourceImport.objects.create(server=server, began=began, ended=timezone.now(), counts=counts, **told)
    SourceImport.objects.filter(server=server, ended__lt=timezone.now() - KEPT).exclude(pk=kept.pk).delete()
