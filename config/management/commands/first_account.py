"""``manage.py first_account``: an administrator with a generated password, when nobody can sign in yet."""

from __future__ import annotations

import secrets
from typing import Any

from django.core.management.base import BaseCommand

from audit.actors import Actor
from governance import accounts, packs
from governance.models import User


class Command(BaseCommand):
    """Prints the login once, or nothing when an account exists."""

    help = "Create the first administrator (once) and load the shipped policy packs."

    def handle(self, *args: Any, **options: Any) -> None:
        """Create what is missing."""
        packs.load_shipped()
        if User.objects.filter(kind=User.Kind.PERSON).exists():
            return
        password = secrets.token_urlsafe(15)
        accounts.create_user(
            username="admin",
            display_name="Administrator",
            roles=["administrator"],
            password=password,
            by=Actor.system("first-start"),
        )
        self.stdout.write(f"First login (shown once): admin / {password}")
