"""``manage.py audit_manifest``: what the migrations make of a new database, against ``audit/manifest.json``."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psycopg
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connections
from psycopg.conninfo import conninfo_to_dict

from audit import catalogue, posture
from config.stack import database, postgres
from config.stack.state import free_port


class Command(BaseCommand):
    """Compare with a scratch database, or write the file anew."""

    help = "Migrate a scratch PostgreSQL and compare it with audit/manifest.json; --write renews the file."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        """``--write``."""
        parser.add_argument("--write", action="store_true", help="write audit/manifest.json")

    def handle(self, *args: Any, **options: Any) -> None:
        """Exit 0: equal or written; 1: they differ."""
        with tempfile.TemporaryDirectory(prefix="countersign-manifest-") as folder:
            made = _fresh(Path(folder))
        if options["write"]:
            catalogue.FILE.write_text(catalogue.text(made))
            self.stdout.write(f"{len(made)} lines written to {catalogue.FILE.name}")
            return
        differences = list(posture.differences(made, catalogue.committed()))
        for difference in differences:
            self.stdout.write(difference)
        if differences:
            sys.exit(1)
        self.stdout.write("The migrations make what the manifest says.")


def _fresh(folder: Path) -> dict[str, str]:
    """The manifest of a new, migrated database on a server of its own."""
    cluster = postgres.place(folder, port=free_port(), password="scratch")
    cluster.initialise()
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            cluster.command("-c", "fsync=off"), stdout=log, stderr=log, user=cluster.user, group=cluster.user, cwd="/"
        )
        try:
            _wait_for(cluster.url(), process, folder / "log")
            return _migrated(cluster.url())
        finally:
            connections["default"].close()
            process.send_signal(2)
            process.wait(30)


def _migrated(admin_url: str) -> dict[str, str]:
    passwords = database.fresh_passwords()
    database.provision(admin_url, passwords)
    parts = conninfo_to_dict(database.url_for(database.OWNER, admin_url, passwords))
    names = {"dbname": "NAME", "user": "USER", "password": "PASSWORD", "host": "HOST", "port": "PORT"}
    owner = {django: str(parts.pop(ours, "") or "") for ours, django in names.items()}
    connections["default"].settings_dict.update({**owner, "OPTIONS": {}})
    call_command("migrate", verbosity=0)
    with psycopg.connect(admin_url) as connection:

        def fetch(sql: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
            return connection.execute(sql, values or None).fetchall()

        return catalogue.collect(fetch, posture.governed_tables())


def _wait_for(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(300):
        try:
            psycopg.connect(url).close()
        except psycopg.OperationalError:
            if process.poll() is not None:
                break
            time.sleep(0.1)
        else:
            return
    raise CommandError(f"The scratch PostgreSQL did not start: {log.read_text()[-500:]}")
