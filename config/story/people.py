"""Who plays in the demo story, and the machine that deploys."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import timedelta

from audit.actors import Actor
from governance import accounts, tokens
from governance.models import User

STORY = Actor.system("demo-story")
CI = "ci"
CI_SCOPES: tuple[str, ...] = ("registry.read", "registry.change", "promotion.read", "promotion.request", "gate.check")
CI_SCOPES += ("deploy.record", "rollback.record", "explain.read", "explain.request", "audit.read")


@dataclass(frozen=True)
class Person:
    """One of the story's people."""

    username: str
    name: str
    role: str
    does: str


PEOPLE = (
    Person("layla", "Layla Haddad", "ml_lead", "signs for ML"),
    Person("jonas", "Jonas Weber", "ml_lead", "signs for ML"),
    Person("omar", "Omar Nasser", "compliance_officer", "signs for compliance"),
    Person("dana", "Dana Weiss", "dpo", "assesses transfers"),
    Person("yusuf", "Yusuf Rahman", "data_scientist", "trains and requests"),
    Person("noor", "Noor Salim", "auditor", "reads everything"),
    Person("sami", "Sami Aziz", "operator", "deploys and rolls back"),
    Person("amir", "Amir Khan", "administrator", "manages accounts"),
)


@dataclass(frozen=True)
class Logins:
    """What is printed once: a password for each person and the machine's token."""

    passwords: dict[str, str]
    token: str


def create() -> Logins:
    """Make the accounts, each with a password of its own."""
    passwords = {}
    for person in PEOPLE:
        passwords[person.username] = secrets.token_urlsafe(12)
        accounts.create_user(
            username=person.username,
            display_name=person.name,
            roles=[person.role],
            password=passwords[person.username],
            by=STORY,
        )
    machine = accounts.create_user(
        username=CI, display_name="Continuous integration", kind=User.Kind.SERVICE, scopes=CI_SCOPES, by=STORY
    )
    issued = tokens.issue(machine, label="Demo pipeline", scopes=CI_SCOPES, lifetime=timedelta(days=90), by=STORY)
    return Logins(passwords, issued.secret)


def actor(username: str) -> Actor:
    """One of the story's people as the actor of a change."""
    user: User = User.objects.get(username=username)
    return user.actor
