"""J18: a rule warns, then blocks; a waiver lets the same input pass and lapses.

On a server of its own (``lab``), not on the demo: a pack in force takes the signatures of every open promotion of the
story, and the clock has to pass the waiver's end.
"""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from playwright.sync_api import expect

from governance import backtests, tasks
from tests import personas
from tests.governance import scene
from tests.journeys.lab import Lab

RULE = "LAB-RUN-001"
VERSION = "version:credit-scoring/14"


def about_runs(answer: dict[str, Any]) -> dict[str, Any]:
    """What the gate found by the rule."""
    found: dict[str, Any] = next(each for each in answer["findings"] if each["rule"] == RULE)
    return found


def test_a_rule_warns_then_blocks_and_a_waiver_passes_and_lapses(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    warns(lab)
    blocks(lab)
    reference = excused(lab)
    deployed(lab)
    truly = timezone.now
    monkeypatch.setattr(timezone, "now", lambda: truly() + timedelta(hours=3))
    lapsed(lab, reference)


def in_force(lab: Lab, version: int, **change: object) -> None:
    """Omar drafts it by command line, a worker tries it, Dana puts it in force in the browser."""
    path = lab.folder / f"{version}.yaml"
    path.write_text(scene.run_on_record(version=version, **change), encoding="utf-8")
    misspelt = lab.folder / "misspelt.yaml"
    misspelt.write_text(path.read_text(encoding="utf-8").replace("run_id", "run_di"), encoding="utf-8")
    assert lab.cli("omar", "policy", "lint", "--file", str(misspelt)).returncode == 2
    assert lab.cli("omar", "policy", "lint", "--file", str(path)).returncode == 0
    drafted = lab.cli("omar", "policy", "draft", "--file", str(path), "--reason", "Runs have to be on record.")
    assert drafted.returncode == 0, drafted.stderr
    with lab.api("omar") as api:
        asked = api.post(f"policies/lab-runs/{version}/backtests", json={})
        assert asked.status_code in (201, 202), asked.text
        assert backtests.perform(asked.json()["id"]) == "finished"
        tried = api.get(f"backtests/{asked.json()['id']}").json()
        assert tried["numbers"]["flips"] == (2 if version == 2 else 0), "what the version before let pass, twice"
    own = lab.at("omar", f"/policies/lab-runs/{version}")
    expect(own.get_by_text("You drafted it; someone else must put it in force.")).to_be_visible()
    tab = lab.at("dana", f"/policies/lab-runs/{version}")
    tab.get_by_label("Why it comes into force").fill("The handbook asks for it.")
    tab.get_by_role("button", name="Put in force").click()
    expect(tab.get_by_text("It is in force: every gate check asks it from now on.")).to_be_visible()


def warns(lab: Lab) -> None:
    """A rule that warns annotates, and the gate passes."""
    in_force(lab, 1, severity="warn")
    code, answer, table = lab.check()
    assert (code, answer["decision"]) == (0, "allow")
    assert (about_runs(answer)["outcome"], about_runs(answer)["severity"]) == ("fail", "warn")
    assert f"warn  {RULE}" in table


def blocks(lab: Lab) -> None:
    """The same input, enforced."""
    in_force(lab, 2)
    code, answer, table = lab.check()
    assert (code, answer["decision"]) == (1, "deny")
    assert f"FAIL  {RULE}  {VERSION}: {VERSION} does not come from a run on record" in table
    with lab.api("ci") as api:
        told = api.get(f"decisions/{answer['decision_id']}").json()
    assert (told["decision"], about_runs(told)["severity"]) == ("deny", "block")
    tab = lab.at("yusuf", f"/decisions/{answer['decision_id']}")
    tab.get_by_role("link", name="Propose a waiver").click()
    expect(tab.get_by_label("Findings about")).to_have_value(VERSION)


def excused(lab: Lab) -> str:
    """Yusuf proposes, may not approve, Dana does; the gate passes and says by what."""
    ends = f"{timezone.now() + timedelta(hours=2):%Y-%m-%dT%H:%M:%SZ}"
    words = ["--model", "credit-scoring", "--version", "14", "--environment", "staging", "--pack", "lab-runs"]
    words += ["--rule", RULE, "--subjects", VERSION, "--reason", "The laptop is gone.", "--ends", ends]
    made = lab.cli("yusuf", "waivers", "propose", *words, "--control", "Trained again today.", "--output", "json")
    assert made.returncode == 0, made.stderr
    reference = str(json.loads(made.stdout)["reference"])
    assert lab.check()[0] == 1, "a proposal excuses nothing"
    own = lab.at("yusuf", f"/waivers/{reference}")
    expect(own.get_by_text("You proposed this waiver; someone else must approve it.")).to_be_visible()
    assert own.get_by_role("button", name="Approve").count() == 0
    with lab.api("yusuf") as api:
        refused = api.post(f"waivers/{reference}/approve", json={"password": personas.PASSWORD})
    assert (refused.status_code, refused.json()["code"]) == (403, "waiver.self_approval")
    tab = lab.at("dana", "/waivers")
    expect(tab.get_by_text("1 waits for your approval.")).to_be_visible()
    tab.get_by_role("link", name=reference).click()
    tab.get_by_label("What you checked").fill("The cluster has a slot tonight.")
    tab.get_by_label("Your password, again").fill(personas.PASSWORD)
    tab.get_by_role("button", name="Approve").click()
    expect(tab.get_by_text("Approved. It excuses what it names until it ends.")).to_be_visible()
    return reference


def deployed(lab: Lab) -> None:
    """What the gate let pass is deployed with the permit."""
    code, answer, table = lab.check()
    found = about_runs(answer)
    assert (code, answer["decision"], found["outcome"]) == (0, "allow", "fail")
    assert f"[excused by {found['waived_by']}]" in table
    tab = lab.at("noor", f"/decisions/{answer['decision_id']}")
    for text in ("Failed, and excused:", "Dana Weiss", "The laptop is gone.", "Trained again today."):
        expect(tab.locator("#gates").get_by_text(text).first).to_be_visible()
    permit = ("--decision", answer["decision_id"], "--permit", answer["permit"]["secret"])
    personas.get("sami")
    done = lab.cli("ci", "deploy", "record", *permit, "--environment", "staging")
    assert done.returncode == 0, done.stdout + done.stderr
    assert tasks.follow_up_safeguards() == 0
    tab = lab.at("noor", "/environments/staging")
    assert tab.get_by_text("Non-compliant").count() == 0


def lapsed(lab: Lab, reference: str) -> None:
    """After its end the gate denies again, and what serves is non-compliant, with the waiver named."""
    code, answer, table = lab.check()
    assert (code, answer["decision"], about_runs(answer)["waived_by"]) == (1, "deny", "")
    assert f"FAIL  {RULE}" in table
    assert tasks.follow_up_safeguards() == 1
    tab = lab.at("noor", "/environments/staging")
    expect(tab.get_by_text("Non-compliant").first).to_be_visible()
    expect(tab.get_by_text(f"no longer allowed since {reference} ended on").first).to_be_visible()
    listed = lab.cli("ci", "waivers", "list")
    assert f"{reference}  expired  {RULE}  credit-scoring/14 -> staging" in listed.stdout
    with lab.api("ci") as api:
        assert api.get(f"waivers/{reference}").json()["standing"] == "expired"
