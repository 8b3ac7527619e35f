"""J17: a stricter quorum is drafted, refused while it or its cases are wrong, tried on the past by a real worker, and
given an instant by a second person, who takes it back.

It does not come into force here: every open promotion of the story would lose its signatures, and other journeys need
them. ``tests/governance/test_backtest_a_pack.py`` and ``test_draft_a_policy_pages.py`` walk the activation,
``test_activation.py`` the instant.
"""

from __future__ import annotations

import html
import json
import re
from pathlib import Path

import pytest

from tests.stack import RunningStack, eventually, token_in

PACK = "two-person-production"
#: What has to come out of the stricter quorum, instead of what came out of the one before.
CASES = """
cases:
  - name: An ML lead and two compliance officers
    given:
      signoffs:
        - {by: "user:lead", role: ml_lead}
        - {by: "user:officer", role: compliance_officer}
        - {by: "user:second-officer", role: compliance_officer}
    expect:
      PROD-TWO-PEOPLE: pass
  - name: One compliance officer is not enough any more
    given:
      signoffs: [{by: "user:lead", role: ml_lead}, {by: "user:officer", role: compliance_officer}]
    expect:
      PROD-TWO-PEOPLE: {outcome: fail, failed: [compliance_officer]}
"""


@pytest.fixture(scope="module")
def drafted(stack: RunningStack) -> str:
    """The address of version 2, drafted by Omar in the browser: two compliance officers instead of one."""
    omar = stack.browser("omar")
    page = omar.get(f"/policies/new?from={PACK}").text
    shown = re.search(r'<textarea name="text"[^>]*>\s*(.*?)</textarea>', page, re.DOTALL)
    assert shown, page[:3000]
    text = html.unescape(shown.group(1)).replace("version: 1", "version: 2", 1)
    assert "role: compliance_officer, n: 1" in text
    stricter = text.replace("role: compliance_officer, n: 1", "role: compliance_officer, n: 2")
    wrong = {"text": stricter.replace("environment.tier", "environment.teir"), "reason": "x"}
    refused = omar.post("/policies/new", data={"csrfmiddlewaretoken": token_in(page), **wrong})
    assert (refused.status_code, "teir" in refused.text, "column" in refused.text) == (400, True, True)
    form = {"csrfmiddlewaretoken": token_in(refused.text), "text": stricter, "reason": "Two of them from now on."}
    old_cases = omar.post("/policies/new", data=form)
    assert (old_cases.status_code, "came out" in old_cases.text, "do not hold." in old_cases.text) == (400, True, True)
    mended = stricter.partition("\ncases:\n")[0] + CASES
    form = {**form, "text": mended}
    ran = omar.post("/policies/new", data={**form, "reason": "", "run": "cases"})
    assert (ran.status_code, "All 2 cases hold." in ran.text) == (200, True)
    stored = omar.post("/policies/new", data=form)
    assert stored.url.path == f"/policies/{PACK}/2", stored.text[:3000]
    return str(stored.url.path)


def test_lint_names_the_line_to_a_pipeline(stack: RunningStack, tmp_path: Path) -> None:
    path = tmp_path / "pack.yaml"
    path.write_text("pack: x\nversion: one\n", encoding="utf-8")
    done = stack.cli("policy", "lint", "--file", str(path))
    assert done.returncode == 2
    assert "line 2, column 10" in done.stderr


def test_its_cases_run_from_a_pipeline(stack: RunningStack, tmp_path: Path) -> None:
    page = stack.browser("omar").get(f"/policies/new?from={PACK}").text
    shown = re.search(r'<textarea name="text"[^>]*>\s*(.*?)</textarea>', page, re.DOTALL)
    assert shown, page[:3000]
    path = tmp_path / "pack.yaml"
    path.write_text(html.unescape(shown.group(1)), encoding="utf-8")
    done = stack.cli("policy", "test", str(path))
    assert (done.returncode, "cases hold" in done.stdout) == (0, True), done.stdout + done.stderr
    more = path.read_text(encoding="utf-8").replace("role: ml_lead, n: ", "role: ml_lead, n: 1")
    path.write_text(more, encoding="utf-8")
    done = stack.cli("policy", "test", str(path), "--output", "json")
    answer = json.loads(done.stdout)
    assert (done.returncode, answer["exit_code"], answer["failing"] > 0) == (1, 1, True)
    assert stack.cli("policy", "test", str(tmp_path / "none")).returncode == 2


def test_a_real_worker_tries_it_and_the_page_tells_what_a_hand_count_gives(stack: RunningStack, drafted: str) -> None:
    omar = stack.browser("omar")
    page = omar.get(drafted).text
    assert "diff-added" in page
    started = omar.post(f"{drafted}/backtest", data={"csrfmiddlewaretoken": token_in(page)})
    number = int(started.url.path.rpartition("/")[2])
    with stack.api() as api:
        eventually(lambda: api.get(f"backtests/{number}").json()["state"] == "finished", seconds=60)
        found = api.get(f"backtests/{number}").json()
        flips = {each["decision"] for each in found["result"]["flips"]}
        assert found["result"]["left_out"]["count"] == 0
        assert flips
        for each in flips:
            decision = api.get(f"decisions/{each}").json()
            signed = [slot["role"] for slot in decision["signoff"]["filled"]]
            assert (decision["decision"], signed.count("compliance_officer")) == ("allow", 1)
    shown = omar.get(f"/backtests/{number}").text
    assert f"{len(flips)} of {found['numbers']['decisions']} decisions would have come out otherwise" in shown
    assert "You drafted it; someone else must put it in force." in omar.get(drafted).text
    dana = stack.browser("dana")
    page = dana.get(drafted).text
    over = {"csrfmiddlewaretoken": token_in(page), "reason": "From then on.", "at": "2020-01-01T00:00"}
    assert "is over: a policy comes into force now or later" in dana.post(f"{drafted}/activate", data=over).text
    waits = dana.post(f"{drafted}/activate", data={**over, "at": "2099-01-01T00:00"}).text
    assert "It waits for its instant and decides nothing before." in waits
    with stack.api() as api:

        def states() -> dict[int, str]:
            return {row["version"]: row["state"] for row in api.get(f"policies/{PACK}").json()["versions"]}

        eventually(lambda: states() == {1: "active", 2: "scheduled"}, seconds=60)
    form = {"csrfmiddlewaretoken": token_in(waits), "reason": "Other journeys need the quorum of today."}
    assert "it is a draft again" in dana.post(f"{drafted}/unschedule", data=form).text


def test_a_decision_of_the_story_replays_by_command_line_and_in_the_browser(stack: RunningStack) -> None:
    with stack.api() as api:
        rows = api.get("promotions").json()["results"]
        number = next(row["id"] for row in rows if row["environment"] == "dr-frankfurt")
        decision = api.get(f"promotions/{number}").json()["decision"]["decision_id"]
    done = stack.cli("decision", "replay", "--decision", decision, "--output", "json")
    assert done.returncode == 0, done.stdout
    answer = json.loads(done.stdout)
    assert answer["same"] is True
    assert answer["recorded"]["result_digest"] == answer["replayed"]["result_digest"]
    noor = stack.browser("noor")
    page = noor.get(f"/decisions/{decision}").text
    again = noor.post(f"/decisions/{decision}/replay", data={"csrfmiddlewaretoken": token_in(page), "packs": "then"})
    assert "the same result, with the digest that the log recorded" in again.text
