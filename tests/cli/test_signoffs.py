"""``countersign signoffs list`` and ``countersign delegations list``."""

from __future__ import annotations

import json

from tests.cli.gate import Gate, run, serving

SIGNED = {
    "id": 34,
    "signer": "user:7c",
    "role": "ml_lead",
    "meaning": "approve",
    "round": 1,
    "signed_at": "2026-11-22T09:00:00Z",
    "on_behalf_of": "user:9e",
    "taken_back": "revoked",
}
LENT = {
    "reference": "DG-2026-0001",
    "standing": "active",
    "role": "ml_lead",
    "delegator": "user:9e",
    "delegate": "user:7c",
    "starts_at": "2026-11-22T09:00:00Z",
    "ends_at": "2026-11-30T23:59:59Z",
}


def test_who_signed_is_listed_with_whom_for_and_what_was_taken_back() -> None:
    with serving(Gate(answer={"state": "in_review", "round": 2, "signoffs": [SIGNED]})) as gate:
        done = run("signoffs", "list", "--promotion", "12", COUNTERSIGN_URL=gate.url, COUNTERSIGN_TOKEN="t")
        line = "34  approve  ml_lead  user:7c  2026-11-22T09:00:00Z  for user:9e  round 1, for another subject  revoked"
        assert (done.returncode, done.stdout.splitlines()) == (0, [line]), done.stderr
        assert gate.received[0].path == "/api/v1/promotions/12"


def test_an_answer_without_signoffs_is_no_empty_list() -> None:
    with serving(Gate(answer={"surprise": True})) as gate:
        done = run("signoffs", "list", "--promotion", "12", COUNTERSIGN_URL=gate.url, COUNTERSIGN_TOKEN="t")
        assert done.returncode == 4


def test_delegations_are_listed_and_kept_whole_as_json() -> None:
    with serving(Gate(answer={"results": [LENT], "next": None})) as gate:
        given = {"COUNTERSIGN_URL": gate.url, "COUNTERSIGN_TOKEN": "t"}
        done = run("delegations", "list", **given)
        assert done.stdout.split()[:6] == ["DG-2026-0001", "active", "ml_lead", "user:7c", "for", "user:9e"]
        whole = json.loads(run("delegations", "list", "--output", "json", **given).stdout)
        assert whole["results"] == [LENT]
