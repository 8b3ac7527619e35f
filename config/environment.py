"""Typed readers of the environment: every setting is read here, and what is missing is said in one sentence at boot."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from django.core.exceptions import ImproperlyConfigured
from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict

ROOT = Path(__file__).resolve().parent.parent
STATE = Path(os.environ.get("COUNTERSIGN_STATE", ROOT / ".state"))
#: ``manage.py`` sets this for commands that must work before any server or secret exists; no request is ever served so.
OFFLINE = os.environ.get("COUNTERSIGN_OFFLINE") == "1"
LOOPBACK = {"127.0.0.1", "localhost", "[::1]", "::1"}


def _started_stack() -> dict[str, str]:
    """What ``up`` or ``demo`` wrote for commands that are run beside them; empty when no stack was started here."""
    path = STATE / "environment.json"
    if OFFLINE or not path.exists():
        return {}
    if path.stat().st_mode & 0o077:
        raise ImproperlyConfigured(f"{path.name} in the state folder is readable by others: chmod 600 it.")
    loaded: dict[str, str] = json.loads(path.read_text())
    return loaded


_STARTED = _started_stack()


def text(name: str, default: str | None = None, *, hint: str = "") -> str:
    """The variable's value; without a default it must be set.

    Raises ImproperlyConfigured with the name and the hint when it is missing.
    """
    value = os.environ.get(name) or _STARTED.get(name) or default
    if value is None:
        if OFFLINE:
            return f"offline-{name}" + "-" * 50
        raise ImproperlyConfigured(f"{name} is not set. {hint}".strip())
    return value


def words(name: str, default: str = "") -> list[str]:
    """A comma-separated list; spaces around the words and empty words are dropped."""
    return [word.strip() for word in text(name, default).split(",") if word.strip()]


def number(name: str, default: int) -> int:
    """A whole number. Raises ImproperlyConfigured when it is anything else."""
    value = text(name, str(default))
    try:
        return int(value)
    except ValueError:
        raise ImproperlyConfigured(f"{name} must be a whole number, not {value!r}.") from None


def choice(name: str, default: str, *others: str) -> str:
    """One of the words given. Raises ImproperlyConfigured for any other."""
    value = text(name, default)
    if value not in {default, *others}:
        raise ImproperlyConfigured(f"{name} must be {' or '.join((default, *others))}, not {value!r}.")
    return value


def flag(name: str, default: bool) -> bool:
    """``1``/``true`` or ``0``/``false``. Raises ImproperlyConfigured for any other word."""
    value = text(name, "true" if default else "false").lower()
    if value not in {"1", "0", "true", "false"}:
        raise ImproperlyConfigured(f"{name} must be true or false, not {value!r}.")
    return value in {"1", "true"}


def database(name: str) -> dict[str, Any]:
    """Django's connection settings from a PostgreSQL URL.

    Raises ImproperlyConfigured for another scheme or an unreadable URL.
    """
    hint = "Start the local stack with `python3 manage.py up`, or set it to postgresql://user:password@host:port/name."
    url = "postgresql://offline@127.0.0.1:1/offline" if OFFLINE else text(name, hint=hint)
    if urlsplit(url).scheme not in {"postgresql", "postgres"}:
        raise ImproperlyConfigured(
            f"{name} must be a postgresql:// URL: PostgreSQL is the only engine that is supported."
        )
    try:
        parts = conninfo_to_dict(url)
    except ProgrammingError as error:
        raise ImproperlyConfigured(f"{name} cannot be read as a connection URL: {error}") from None
    known = {"dbname": "NAME", "user": "USER", "password": "PASSWORD", "host": "HOST", "port": "PORT"}
    settings: dict[str, Any] = {django: str(parts.pop(ours, "") or "") for ours, django in known.items()}
    return {
        "ENGINE": "django.db.backends.postgresql",
        **settings,
        "OPTIONS": parts,
        "CONN_MAX_AGE": 60,
        "CONN_HEALTH_CHECKS": True,
    }


def admin_database_url() -> str:
    """The database as its administrator: ``ADMIN_DATABASE_URL``, or the embedded server of this state folder, or ''."""
    secrets, ports = STATE / "secrets" / "generated.json", STATE / "ports.json"
    if given := os.environ.get("ADMIN_DATABASE_URL"):
        return given
    if OFFLINE or not (STATE / "postgres").exists() or not secrets.exists() or not ports.exists():
        return ""
    password, port = json.loads(secrets.read_text())["postgres"], json.loads(ports.read_text())["postgres"]
    return f"postgresql://postgres:{password}@127.0.0.1:{port}/countersign"


def public_url() -> str:
    """Where people reach this server; ``http`` is accepted for loopback addresses only."""
    url = text("PUBLIC_URL", "https://localhost").rstrip("/")
    parts = urlsplit(url)
    if parts.scheme == "http" and parts.hostname not in LOOPBACK:
        raise ImproperlyConfigured(
            f"PUBLIC_URL is {url}: sign-offs need https, since http shows passwords to the network. "
            "Only 127.0.0.1 and localhost may use http."
        )
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ImproperlyConfigured(f"PUBLIC_URL must begin with https:// and name a host, not {url!r}.")
    return url
