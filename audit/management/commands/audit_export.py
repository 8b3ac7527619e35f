"""``manage.py audit_export``: write a bundle that verifies without this server to a file of yours."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from audit.exports import jobs
from audit.exports.scope import FIELDS, Scope
from audit.operators import add_by, operator
from audit.refusals import Refusal


class Command(BaseCommand):
    help = "Export the log, or a part of it, as a bundle with its own verifier. The export is recorded in the log."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Times are RFC 3339 or days; a day begins at 00:00 UTC."""
        parser.add_argument("--everything", action="store_true")
        parser.add_argument("--model", default="", metavar="NAME")
        parser.add_argument("--environment", default="", metavar="SLUG")
        parser.add_argument("--since", default="", metavar="TIME", help="first moment of the period")
        parser.add_argument("--until", default="", metavar="TIME", help="end of the period; not part of it")
        parser.add_argument(
            "--disclose", nargs="*", default=[], metavar="FIELD", help=f"private values: {', '.join(FIELDS)}"
        )
        parser.add_argument("--language", default="en", choices=["en", "ar"], help="of index.html")
        parser.add_argument("--size", type=int, default=0, help="the checkpoint of this size instead of the newest")
        parser.add_argument("--previous", type=int, default=0, help="prove that the log extends this checkpoint")
        parser.add_argument("--out", required=True, metavar="FILE", help="a file that does not exist yet")
        add_by(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        """Exit 0 and the digest, or 1 and a sentence."""
        path = Path(options["out"]).absolute()
        if path.exists():
            raise CommandError(f"{path} exists already; name another file.")
        try:
            scope = Scope(
                everything=options["everything"],
                model=options["model"],
                environment=options["environment"],
                since=_moment(options["since"]),
                until=_moment(options["until"]),
                disclose=tuple(options["disclose"]),
                language=options["language"],
                size=options["size"],
                previous=options["previous"],
            )
            by = operator(options["by"])
            export = jobs.write_to(jobs.request(scope, queue=False, by=by), path, by=by)
        except Refusal as refusal:
            self.stderr.write(refusal.sentence)
            sys.exit(1)
        self.stdout.write(f"{export.entries} entries, checkpoint of size {export.size}, {export.length} bytes")
        self.stdout.write(f"{export.sha256}  {path}")


def _moment(text: str) -> datetime | None:
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise CommandError(f"{text!r} is no time: write 2026-11-22 or 2026-11-22T08:00:00Z.") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
