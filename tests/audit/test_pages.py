"""The pages and the API of the log."""

from __future__ import annotations

import base64
import hashlib
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from django.db import connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext
from pymerkle import MerkleProof, verify_inclusion

from audit import log
from audit.actors import Actor
from audit.models import Event

LAYLA = Actor(id="user:00000000-0000-7000-8000-000000000001", name="Layla Haddad", roles=frozenset({"ml_lead"}))


def _append(count: int, subject: str = "model:credit-scoring", event: Event = Event.MODEL_CHANGED) -> None:
    for number in range(count):
        with transaction.atomic():
            log.append(event, subject, facts={"number": number}, reason=f"Reason {number}", by=LAYLA)


@pytest.mark.usefixtures("committed_db")
def test_the_log_page_shows_the_newest_first_in_pages_by_key(
    sequence: Callable[[], None], client_for: Callable[[str], Client]
) -> None:
    client = client_for("noor")
    _append(60)
    sequence()
    _append(1, subject="model:waiting")
    first = client.get("/log")
    assert first.status_code == 200
    assert "no number yet" in first.content.decode()
    older = client.get("/log" + first.context["older"])
    newest_there = older.context["page"].rows[0].index
    last_here = first.context["page"].rows[-1].index
    assert newest_there == last_here - 1
    newer = client.get("/log" + older.context["newer"])
    assert newer.context["page"].rows[-1].index == last_here


@pytest.mark.usefixtures("committed_db")
def test_the_log_page_costs_the_same_queries_for_one_entry_and_for_a_full_page(
    sequence: Callable[[], None], client_for: Callable[[str], Client]
) -> None:
    client = client_for("noor")
    counts = []
    for amount in (1, 60):
        _append(amount)
        sequence()
        client.get("/log")
        with CaptureQueriesContext(
            connection,
        ) as queries:
            client.get("/log?subject=model:credit-scoring")
        counts.append(len(queries))
    assert counts[0] == counts[1]
    assert counts[1] <= 10


@pytest.mark.usefixtures("committed_db")
@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("subject=model:credit-scoring", 3),
        ("subject=model:*", 5),
        ("subject=model:cr_dit*", 0),
        ("event=model.registered", 2),
        (f"actor={LAYLA.id}", 5),
        ("actor=user:nobody", 0),
        ("since=2020-01-01&until=2020-12-31", 0),
        ("since=2020-01-01&actor=" + LAYLA.id, 5),
    ],
)
def test_filters_find_the_same_before_and_after_sequencing(
    sequence: Callable[[], None], client_for: Callable[[str], Client], query: str, found: int
) -> None:
    client = client_for("noor")
    _append(3)
    _append(2, "model:churn", Event.MODEL_REGISTERED)
    before = client.get(f"/log?{query}").context["page"].rows
    sequence()
    after = client.get(f"/log?{query}").context["page"].rows
    assert len(before) == len(after) == found


@pytest.mark.django_db
@pytest.mark.parametrize(
    "query", ["since=yesterday", "since=2026-02-01&until=2026-01-01", "event=coffee", "before=x", "before=1&after=2"]
)
def test_a_malformed_filter_is_said_and_nothing_is_searched(client_for: Callable[[str], Client], query: str) -> None:
    answer = client_for("noor").get(f"/log?{query}")
    assert answer.status_code == 400
    assert answer.context["page"] is None


@pytest.mark.usefixtures("committed_db")
def test_the_proof_on_the_entry_page_verifies_with_pymerkle(
    sequence: Callable[[], None], client_for: Callable[[str], Client], tmp_path: Path
) -> None:
    client = client_for("noor")
    _append(9)
    sequence()
    page = client.get("/log/5")
    assert page.status_code == 200
    command = page.context["proof_command"]
    program = command.split("<<'EOF'\n", 1)[1].removesuffix("EOF")
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert json.loads(done.stdout) == json.loads(page.context["canonical"])
    for hashed in page.context["detail"].inclusion.base64:
        assert hashed in page.content.decode()


@pytest.mark.usefixtures("committed_db")
def test_the_api_gives_the_bytes_and_a_proof_that_pymerkle_accepts(
    sequence: Callable[[], None], client_for: Callable[[str], Client]
) -> None:
    client = client_for("noor")
    _append(4)
    sequence()
    listing = client.get("/api/v1/log/entries?limit=2").json()
    assert len(listing["results"]) == 2
    assert client.get(listing["next"]).status_code == 200
    index = listing["results"][0]["index"]
    document = client.get(f"/api/v1/log/entries/{index}").json()
    entry = base64.b64decode(document["entry"])
    proof = MerkleProof.deserialize(document["inclusion"]["pymerkle"])
    verify_inclusion(hashlib.sha256(b"\0" + entry).digest(), base64.b64decode(document["inclusion"]["root"]), proof)


@pytest.mark.usefixtures("committed_db")
@pytest.mark.parametrize(
    "path", ["/log/77", "/log/77.tlog-proof", "/api/v1/log/entries/77", "/log/9999999999999999999"]
)
def test_an_entry_that_does_not_exist_is_not_found(client_for: Callable[[str], Client], path: str) -> None:
    assert client_for("noor").get(path).status_code == 404


@pytest.mark.usefixtures("committed_db")
def test_the_api_refuses_filters_that_it_does_not_know(client_for: Callable[[str], Client]) -> None:
    assert client_for("noor").get("/api/v1/log/entries?actr=layla").status_code == 400


@pytest.mark.usefixtures("committed_db")
def test_the_checkpoint_and_keys_are_public_and_the_log_is_not(sequence: Callable[[], None], client: Client) -> None:
    assert client.get("/log/checkpoint").status_code == 404
    sequence()
    assert client.get("/log/checkpoint").content.decode().startswith("tests.example/log\n2\n")
    assert client.get("/log/vkey").content.decode().count("\n") == 2
    assert client.get("/log").status_code == 302
    assert client.get("/api/v1/log/entries").status_code in {401, 403}


@pytest.mark.usefixtures("committed_db")
def test_the_verify_page_never_shows_an_unverified_log_as_fine(
    sequence: Callable[[], None], client_for: Callable[[str], Client]
) -> None:
    client = client_for("noor")
    sequence()
    assert "has not been verified" in client.get("/verify").content.decode()
