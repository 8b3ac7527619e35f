"""The people of every test, made by the same function that makes real accounts.

Layla and Jonas lead ML, Omar is compliance, Dana data protection, Yusuf trains and requests, Noor audits, Sami
operates, Amir administers, and ``ci`` is a machine. What each may do follows from ``governance.access`` alone.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from datetime import timedelta

from audit.actors import Actor
from governance import accounts, tokens
from governance.access import held_by
from governance.models import User
from governance.models.roles import SCOPES

#: Every person's password; another one in each run.
PASSWORD = secrets.token_urlsafe(18)
SET_UP = Actor.system("tests")


@dataclass(frozen=True)
class Persona:
    display_name: str
    roles: tuple[str, ...] = ()
    scopes: tuple[str, ...] = field(default=())


PERSONAS = {
    "layla": Persona("Layla Haddad", ("ml_lead",)),
    "jonas": Persona("Jonas Weber", ("ml_lead",)),
    "omar": Persona("Omar Nasser", ("compliance_officer",)),
    "dana": Persona("Dana Weiss", ("dpo",)),
    "yusuf": Persona("Yusuf Rahman", ("data_scientist",)),
    "noor": Persona("Noor Salim", ("auditor",)),
    "sami": Persona("Sami Aziz", ("operator",)),
    "amir": Persona("Amir Khan", ("administrator",)),
    "ci": Persona(
        "Continuous integration",
        scopes=(
            "audit.read",
            "registry.read",
            "registry.change",
            "explain.read",
            "explain.request",
            "promotion.read",
            "promotion.request",
            "gate.check",
            "deploy.record",
            "rollback.record",
        ),
    ),
}


def get(username: str) -> User:
    """The persona's account in the current database, created at first use."""
    found = User.objects.filter(username=username).first()
    if found is not None:
        return found
    persona = PERSONAS[username]
    return accounts.create_user(
        username=username,
        display_name=persona.display_name,
        kind="service" if persona.scopes else "person",
        roles=persona.roles,
        scopes=persona.scopes,
        password=None if persona.scopes else PASSWORD,
        by=SET_UP,
    )


def everyone() -> dict[str, User]:
    """All personas by username."""
    return {username: get(username) for username in PERSONAS}


def token_of(username: str, *, scopes: tuple[str, ...] | None = None, lifetime: timedelta = timedelta(days=1)) -> str:
    """A fresh token's secret; by default with every scope that the persona may give to one."""
    user = get(username)
    wanted = scopes if scopes is not None else tuple(str(scope) for scope in SCOPES if scope in held_by(user))
    return tokens.issue(user, label="test", scopes=wanted, lifetime=lifetime, by=SET_UP).secret
