"""Permits: verified without the server, and used up at the moment of deploying."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from countersign import asking, outputs, settings, signed
from countersign.answers import CLOCK_SKEW, now_utc, permit_of
from countersign.exits import Exit, Stop

_PREFIX = "cspermit_"
_KIND = "application/vnd.countersign.permit+json"
_MAX_CHARACTERS = 2_000
_FIELDS = frozenset(
    "action decision digest environment expires_at issued_at kid nonce subject_digest version".split()  # noqa: SIM905
)


def verify(arguments: argparse.Namespace, shape: str) -> int:
    """Verify a permit without the server: 0 it holds, 1 its time is over, 6 it does not hold or is for something else.
    Whether it was used already only the server knows.
    """
    _given(arguments)
    settings.fill(arguments, os.environ, ("permit", "key"))
    keys = signed.trusted(arguments)
    try:
        told, expires = opened(arguments.permit, keys)
    except signed.Unclear as error:
        raise Stop(Exit.MISMATCH, f"This is no permit: {error}.") from None
    for name in ("digest", "environment", "decision"):
        wanted = getattr(arguments, name)
        if wanted and wanted != told[name]:
            raise Stop(Exit.MISMATCH, f"The permit is for the {name} {told[name]!r}, not for {wanted!r}.")
    if expires <= now_utc():
        raise Stop(Exit.DENIED, f"The permit expired at {told['expires_at']}; ask the gate for a new one.")
    lines = [
        f"HOLDS  {told['version']} -> {told['environment']} ({told['action']})  {told['decision']}",
        f"  files {told['digest']}",
        f"  until {told['expires_at']}, by the key {told['kid']}",
        "  Whether it was used already, only the server knows: countersign permit consume",
    ]
    return outputs.told(told, shape, lines)


def consume(arguments: argparse.Namespace, shape: str) -> int:
    """Use a permit up, right before deploying. A second use is refused (1)."""
    _given(arguments)
    settings.fill(arguments, os.environ, ("url", "token", "decision", "permit", "environment"))
    body = {"permit": arguments.permit, "environment": arguments.environment}
    if arguments.digest:
        body["digest"] = arguments.digest
    answer = asking.post(arguments, f"/api/v1/permits/{quote(arguments.decision, safe='')}/consume", body)
    used, about = answer.get("consumed_at"), (answer.get("decision_id"), answer.get("environment"))
    if not isinstance(used, str) or not used or about != (arguments.decision, arguments.environment):
        raise Stop(Exit.UNDECIDED, "The answer does not say that this permit was used, so do not deploy.")
    until = answer.get("record_until")
    told = [f"USED  permit of {about[0]} in {about[1]} at {used}"]
    if isinstance(until, str) and until:
        told.append(f"Record the deployment with the same permit until {until}; later it is refused.")
    return outputs.told(answer, shape, told)


def opened(text: str, keys: Mapping[str, signed.Key]) -> tuple[dict[str, str], datetime]:
    """What the permit says and when it ends. Raises ``Stop`` (mismatch) unless a key of ``keys`` signed it, ``Unclear``
    for what is no permit.
    """
    if not text.startswith(_PREFIX) or len(text) > _MAX_CHARACTERS or text.count(".") != 1:
        raise signed.Unclear("it does not have the form of one")
    payload, signature = (signed.unbase64(each, url=True) for each in text.removeprefix(_PREFIX).split("."))
    told = signed.told(payload)
    if told.keys() != _FIELDS or not all(isinstance(each, str) for each in told.values()):
        raise signed.Unclear("it does not say what a permit says")
    kid = told["kid"]
    if kid not in keys:
        raise Stop(Exit.MISMATCH, f"The permit is signed by the key {kid!r}, which is not among yours.")
    if not signed.holds(keys[kid], _KIND, payload, signature):
        raise Stop(Exit.MISMATCH, f"The signature of the key {kid} does not hold: it was altered, or forged.")
    issued, retired = signed.moment(told["issued_at"]), keys[kid].retired
    if retired is not None and issued > retired + CLOCK_SKEW:
        raise Stop(Exit.MISMATCH, f"The permit was signed at {told['issued_at']} by a key that was retired before.")
    if issued > now_utc() + CLOCK_SKEW:
        raise Stop(Exit.MISMATCH, f"The permit was issued at {told['issued_at']}, which is not yet.")
    return told, signed.moment(told["expires_at"])


def _given(arguments: argparse.Namespace) -> None:
    """Take what ``--answer``, a file of ``check --save``, holds and no flag gives."""
    settings.fill(arguments, os.environ, ())
    if not arguments.answer:
        return
    try:
        saved: Any = json.loads(signed.content(Path(arguments.answer)))
    except (ValueError, RecursionError):
        saved = None
    if not isinstance(saved, dict):
        raise Stop(Exit.USAGE, f"{arguments.answer} is not an answer that countersign check saved.")
    decision = saved.get("decision_id")
    arguments.decision = arguments.decision or (decision if isinstance(decision, str) else None)
    arguments.permit = arguments.permit or permit_of(saved)
