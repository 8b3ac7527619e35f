"""Asking a served model what it is: one GET to an address of the registry, and what its answer says.

What exists was looked at before it was written. MLflow's scoring server answers ``/ping``, ``/health`` (the model is
loaded) and ``/version`` (of MLflow itself); it says nothing about the model that it holds, so it is asked whether it
lives and counts as silent. A server that speaks the Open Inference Protocol V2 (KServe, Triton, MLServer) names the
model and its versions at ``/v2/models/<name>``. Whoever serves otherwise gives the endpoint an identity address that
answers ``{"model": …, "version": …, "digest": "sha256:…"}``; the digest decides where one is told.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import httpx

from audit.refusals import BadInput
from registry import environments
from registry.models.versions import DIGEST_PATTERN
from registry.reconciling.snapshots import Answer, Outcome

#: Seconds for one connection, for one packet of an answer, and for the whole answer.
CONNECT, READ, WHOLE = 2.0, 5.0, 8.0
#: Bytes; what describes a model is never longer.
MAX_ANSWER = 65_536
#: Endpoints asked at a time.
AT_ONCE = 8
#: How often a connection is tried: one lost packet is no outage.
TRIES = 2
_WORD = re.compile(r"[\x21-\x7e]{1,200}")


@dataclass(frozen=True, slots=True)
class Address:
    """Where to ask. ``identity`` is empty when the endpoint has no address that describes the model."""

    endpoint: str
    url: str
    identity: str


class Strange(ValueError):  # noqa: N818
    """An answer that says who it is in a way that cannot be understood. ``args[0]`` is the word for why."""


def ask_all(addresses: Iterable[Address]) -> tuple[Answer, ...]:
    """What each endpoint says, in the order given; a few at a time, each within ``TRIES`` times ``WHOLE`` seconds."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return tuple(pool.map(ask, addresses))


def ask(address: Address) -> Answer:
    """What one endpoint says about itself. Never raises: what cannot be told is an answer of its own."""
    url = address.identity or _ping(address.url)
    try:
        environments.allowed_address(url)
    except BadInput as refusal:
        return Answer(address.endpoint, Outcome.UNREACHABLE, why="not_allowed", detail=refusal.sentence)
    status, body, why = 0, b"", ""
    for _try in range(TRIES):
        status, body, why = _get(url)
        if not why:
            break
    if not why and status != 200:
        why = "redirect" if 300 <= status < 400 else "status"
    if why:
        return Answer(address.endpoint, Outcome.UNREACHABLE, why=why, detail=str(status or ""))
    if not address.identity:
        return Answer(address.endpoint, Outcome.SILENT, why="scoring_server")
    try:
        return read(address.endpoint, body)
    except Strange as strange:
        return Answer(address.endpoint, Outcome.UNREACHABLE, why=str(strange.args[0]))


def read(endpoint: str, body: bytes) -> Answer:
    """What an identity document says. Raises ``Strange`` for anything but one that can be understood whole."""
    try:
        told = json.loads(body)
    except (ValueError, RecursionError):
        raise Strange("not_json") from None
    if not isinstance(told, dict):
        raise Strange("not_understood")
    digest = "" if told.get("digest") is None else told["digest"]
    if digest != "" and not (isinstance(digest, str) and re.fullmatch(DIGEST_PATTERN.strip("^$"), digest)):
        raise Strange("bad_digest")
    versions = told["versions"] if "versions" in told else told.get("version")
    listed = versions if isinstance(versions, list) else [] if versions in (None, "") else [versions]
    answer = Answer(
        endpoint,
        Outcome.TOLD,
        name=_word(told.get("model", told.get("name", ""))),
        versions=tuple(sorted({_word(each) for each in listed[:100]} - {""})),
        digest=digest,
    )
    if answer.digest or answer.versions:
        return answer
    return Answer(endpoint, Outcome.SILENT, name=answer.name, why="says_nothing")


def _word(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise Strange("not_understood")
    text = str(value).strip() if isinstance(value, int) or len(value) < 1000 else "?" * 300
    if text and not _WORD.fullmatch(text):
        raise Strange("not_understood")
    return text


def _ping(url: str) -> str:
    """Whether MLflow's scoring server has its model: ``/ping`` beside ``/invocations``."""
    parts = urlsplit(url)
    root = parts.path.rstrip("/").removesuffix("/invocations")
    return urlunsplit((parts.scheme, parts.netloc, f"{root}/ping", "", ""))


def _get(url: str) -> tuple[int, bytes, str]:
    """Status, body and, when there is no whole answer, the word for why."""
    ends = time.monotonic() + WHOLE
    body = b""
    try:
        with (
            httpx.Client(timeout=httpx.Timeout(READ, connect=CONNECT), follow_redirects=False, trust_env=False) as http,
            http.stream("GET", url, headers={"Accept": "application/json"}) as answer,
        ):
            for piece in answer.iter_bytes():
                body += piece
                if len(body) > MAX_ANSWER:
                    return answer.status_code, b"", "too_large"
                if time.monotonic() > ends:
                    return answer.status_code, b"", "timeout"
            return answer.status_code, body, ""
    except httpx.TimeoutException:
        return 0, b"", "timeout"
    except (httpx.HTTPError, httpx.InvalidURL):
        return 0, b"", "no_connection"
