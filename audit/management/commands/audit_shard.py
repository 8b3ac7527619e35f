"""``manage.py audit_shard status|close|compromise|lost|detach``: the logs of this server, one after another."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

import psycopg
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from audit import checks, queries, recovery, retention, shards
from audit.entry_copies import CopyDamaged
from audit.operators import add_by, operator
from audit.refusals import Refusal
from audit.signer import SignerRefusal, SignerUnavailable


class Command(BaseCommand):
    help = "Show the logs; close the newest; leave it after a theft of keys or a loss; detach an old one."
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        """One of five actions; see docs/recovery.md for the last three."""
        actions = parser.add_subparsers(dest="action", required=True)
        actions.add_parser("status", help="every log with its size and state")
        close = actions.add_parser("close", help="close the newest log and begin another")
        close.add_argument("--origin", default="", help="the next log's name (default: LOG_ORIGIN with a number)")
        compromise = actions.add_parser("compromise", help="close the log because its keys may be in other hands")
        compromise.add_argument("--stands", required=True, type=Path, help="the last witnessed checkpoint, as a file")
        lost = actions.add_parser("lost", help="give up a frozen log whose missing entries exist nowhere")
        lost.add_argument("--reason", required=True, help="public, for ever in the next log's first entry")
        detach = actions.add_parser("detach", help="move a finished log's entries out of the live tables")
        detach.add_argument("origin")
        detach.add_argument("--export", required=True, type=Path, help="an export of the whole log, as zip or folder")
        for action in (close, compromise, lost, detach):
            add_by(action)

    def handle(self, *args: Any, **options: Any) -> None:
        """Exit 1 with a sentence when it cannot be done."""
        try:
            self.stdout.write(self._act(**options))
        except Refusal as refusal:
            raise CommandError(refusal.sentence) from refusal
        except (SignerUnavailable, SignerRefusal, CopyDamaged, psycopg.Error, OSError, UnicodeDecodeError) as error:
            raise CommandError(str(error)) from error

    def _act(self, action: str, **options: Any) -> str:
        if action == "status":
            return "\n".join(_line(shard) for shard in shards.shards(queries.fetch)) or "no log is open yet"
        by, url = operator(options["by"]), settings.ADMIN_DATABASE_URL()
        if action == "close":
            name = shards.order_closing(reason="operator", origin=options["origin"], by=by)
            return f"ordered: the sequencer closes the log and opens {name} within seconds"
        if action == "compromise":
            stands = recovery.standing_head(options["stands"].read_text())
            name = shards.order_closing(reason="compromise", stands=stands, by=by)
            return f"ordered: {name} begins with new keys; of the old log the first {stands['size']} entries stand"
        if action == "lost":
            name = recovery.give_up(checks.signer_for_writing(), url=url, reason=options["reason"], by=by)
            return f"the log is given up; {name} states the loss in its first entry"
        shard = retention.detach(options["origin"], options["export"], url=url, by=by)
        return f"detached: the entries of {shard.origin} are in the table audit.entry_{shard.log_id}"


def _line(shard: shards.Shard) -> str:
    return f"{shard.log_id:3} {shard.state:9} {shard.size:>10,} entries, {shard.signed:>10,} signed  {shard.origin}"
