"""Flags, and the same as environment variables: ``--idempotency-key`` is ``COUNTERSIGN_IDEMPOTENCY_KEY``."""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import uuid
from collections.abc import Mapping
from typing import Any

from countersign.exits import Exit, Stop

_TRUE = frozenset({"1", "true", "yes", "on"})
_FALSE = frozenset({"0", "false", "no", "off", ""})


def fill(arguments: argparse.Namespace, environment: Mapping[str, str], required: tuple[str, ...]) -> None:
    """Take what no flag gave from the environment; a flag always wins. Raises ``Stop`` (usage) for what is missing."""
    for name, value in vars(arguments).items():
        given = environment.get(f"COUNTERSIGN_{name.upper()}")
        if value is None and given:
            setattr(arguments, name, given)
        elif value is False and given is not None:
            setattr(arguments, name, _truth(name, given))
    lacking = [name for name in required if not getattr(arguments, name)]
    if lacking:
        flags = ", ".join(f"--{name.replace('_', '-')} (or COUNTERSIGN_{name.upper()})" for name in lacking)
        raise Stop(Exit.USAGE, f"Missing: {flags}.")


def choice(name: str, value: str | None, known: tuple[str, ...]) -> str:
    """``value`` or the first of ``known``. Raises ``Stop`` (usage) for an unknown one, wherever it came from."""
    if not value:
        return known[0]
    if value not in known:
        raise Stop(Exit.USAGE, f"--{name} {value!r} is not known; known are {', '.join(known)}.")
    return value


def seconds(value: str | None, *, name: str = "timeout") -> float:
    """The timeout, or the flag ``name``; 30 when none is given."""
    try:
        found = float(value) if value else 30.0
    except ValueError:
        found = math.nan
    if not 0 < found <= 3_600:
        raise Stop(Exit.USAGE, f"--{name} {value!r} is not a number of seconds between 0 and 3600.")
    return found


def percent(value: str | None) -> int | None:
    """A share of traffic, whole percent."""
    if not value:
        return None
    if not (value.isascii() and value.isdigit() and int(value) <= 100):
        raise Stop(Exit.USAGE, f"--weight {value!r} is not a whole number from 0 to 100.")
    return int(value)


def whole(name: str, value: str) -> int:
    """A whole number from 0, of the flag ``name``."""
    if not (value.isascii() and value.isdigit() and len(value) < 19):
        raise Stop(Exit.USAGE, f"--{name} {value!r} is not a whole number from 0.")
    return int(value)


def number(name: str, value: str) -> float:
    """A finite number, of the flag ``name``."""
    try:
        found = float(value)
    except ValueError:
        found = math.nan
    if not math.isfinite(found):
        raise Stop(Exit.USAGE, f"--{name} {value!r} is not a number.")
    return found


def fresh_key() -> str:
    """For questions: each invocation asks anew. A key of the CI run would replay an old answer while the run lasts."""
    return uuid.uuid4().hex


def run_key(environment: Mapping[str, str], command: str, body: dict[str, Any]) -> str:
    """For records: the same step of the same run records once, however often it is retried."""
    names: tuple[str, ...]
    if environment.get("GITHUB_RUN_ID"):
        names = ("GITHUB_REPOSITORY_ID", "GITHUB_RUN_ID", "GITHUB_JOB")
    elif environment.get("CI_PIPELINE_ID"):
        names = ("CI_PROJECT_ID", "CI_PIPELINE_ID", "CI_JOB_NAME")
    elif environment.get("BUILD_TAG"):
        names = ("BUILD_TAG",)
    else:
        return fresh_key()
    run = "/".join(environment.get(name, "") for name in names)
    what = hashlib.sha256(json.dumps([run, command, body], sort_keys=True).encode()).hexdigest()
    return f"{command}-{what[:48]}"


def ci_notes(environment: Mapping[str, str]) -> dict[str, str]:
    """Where the question comes from, for the record; no secrets among them."""
    if environment.get("GITHUB_RUN_ID"):
        server = environment.get("GITHUB_SERVER_URL", "https://github.com")
        repository = environment.get("GITHUB_REPOSITORY", "")
        found = {
            "sha": environment.get("GITHUB_SHA", ""),
            "run_url": f"{server}/{repository}/actions/runs/{environment['GITHUB_RUN_ID']}",
        }
    else:
        found = {
            "sha": environment.get("CI_COMMIT_SHA") or environment.get("GIT_COMMIT") or "",
            "run_url": environment.get("CI_JOB_URL") or environment.get("BUILD_URL") or "",
        }
    return {name: value[:500] for name, value in found.items() if value}


def _truth(name: str, value: str) -> bool:
    if value.lower() in _TRUE:
        return True
    if value.lower() in _FALSE:
        return False
    raise Stop(Exit.USAGE, f"COUNTERSIGN_{name.upper()} is {value!r}; write true or false.")
