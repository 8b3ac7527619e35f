"""``manage.py audit_erase``: erase a person, as somebody who may and who proves it with their password."""

from __future__ import annotations

import getpass
import sys
from argparse import ArgumentParser
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError

from audit import erasure as log_erasure
from audit.refusals import Refusal
from governance import erasure, factors
from governance.models.user import User


class Command(BaseCommand):
    help = "Erase a person: account, names and the private values of the log. It cannot be undone."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """``--by`` is the username of who may erase; the password is asked for, or read from standard input; and in
        the next line the code of an authenticator app, where there is one."""
        parser.add_argument("--subject", required=True, help="user:<uuid>, as the account's page and the log show it")
        parser.add_argument("--by", required=True, help="username of an administrator or data-protection officer")
        parser.add_argument("--reason", required=True, help="without the person's name: it stays in the log")
        parser.add_argument(
            "--no-legal-hold", action="store_true", help="confirm that nothing requires the data to be kept"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Exits with 1 and a sentence when it is refused; 3 when it is decided but not carried out yet."""
        try:
            uuid = UUID(options["subject"].removeprefix("user:"))
        except ValueError:
            raise CommandError("--subject is written user:<uuid>, as the account's page shows it.") from None
        user = User.objects.filter(username=options["by"].lower()).first()
        if user is None:
            raise CommandError(f"There is no account {options['by']}.")
        password = _asked(f"Password of {user.username}: ")
        code = _asked("Code of the authenticator app: ") if factors.held(user).app is not None else ""
        try:
            erased = erasure.erase_with_password(
                uuid,
                reason=options["reason"],
                no_legal_hold=options["no_legal_hold"],
                password=password,
                code=code,
                user=user,
            )
            done = log_erasure.newest(erased.subject)
        except Refusal as refusal:
            raise CommandError(refusal.sentence) from refusal
        if done is None:
            self.stderr.write("The account is erased; the log's private values wait, and are retried every minute.")
            sys.exit(3)
        self.stdout.write(f"{erased.subject} is erased: {done.values} private values, entry {done.event_id}.")


def _asked(question: str) -> str:
    """From the keyboard, not shown; or the next line of standard input."""
    return getpass.getpass(question) if sys.stdin.isatty() else sys.stdin.readline().rstrip("\n")
