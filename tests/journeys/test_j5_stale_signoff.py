"""J5: after approval the target and then a policy change. The signatures go stale with what changed, the old permit is
refused, a second round opens and is signed, and the first stays readable. Browser, API and command line.
"""

from __future__ import annotations

from typing import Any

from playwright.sync_api import expect

from governance import packs
from registry import environments
from tests import personas
from tests.governance import scene
from tests.journeys.lab import Lab

WHY = "Compared with version 13 on both hold-outs."


def signed(lab: Lab, number: int, username: str) -> None:
    """That person signs what the page shows, with the password again."""
    tab = lab.at(username, f"/promotions/{number}")
    form = tab.locator("#sign")
    form.get_by_label("What you reviewed").fill(WHY)
    form.get_by_label("Your password, again").fill(personas.PASSWORD)
    form.get_by_role("button", name="Sign off").click()
    expect(tab.get_by_text("You signed this promotion.")).to_be_visible()


def deploy(lab: Lab, answer: dict[str, Any]) -> Any:
    permit = ("--decision", answer["decision_id"], "--permit", answer["permit"]["secret"])
    return lab.cli("ci", "deploy", "record", *permit, "--environment", "prod-uae")


def told(lab: Lab, number: int) -> dict[str, Any]:
    with lab.api("ci") as api:
        answer = api.get(f"promotions/{number}")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_what_was_signed_goes_stale_and_a_second_round_is_signed(lab: Lab) -> None:
    number = scene.request(lab.bank).pk
    assert lab.check("prod-uae")[0] == 3
    signed(lab, number, "layla")
    signed(lab, number, "omar")
    code, permitted, _ = lab.check("prod-uae")
    assert (code, permitted["decision"]) == (0, "allow")

    environments.change_environment(lab.bank.uae, log_sinks=["aws:me-central-1"], by=scene.SET_UP)
    refused = deploy(lab, permitted)
    assert refused.returncode == 1, refused.stdout + refused.stderr
    code, answer, _ = lab.check("prod-uae")
    assert (code, answer["decision"], answer["permit"]) == (3, "pending", None)
    assert {each["role"] for each in answer["signoff"]["missing"]} == {"ml_lead", "compliance_officer"}
    second_round_says_why(lab, number)

    signed(lab, number, "layla")
    a_policy_changes()
    code, answer, _ = lab.check("prod-uae")
    assert (code, {each["role"] for each in answer["signoff"]["missing"]}) == (3, {"ml_lead", "compliance_officer"})
    assert [each["stale"] for each in told(lab, number)["signoffs"]] == [True, True, True]
    expect(lab.at("omar", f"/promotions/{number}").locator("#changed").get_by_text("lab-runs")).to_be_visible()

    signed(lab, number, "omar")
    signed(lab, number, "layla")
    code, again, _ = lab.check("prod-uae")
    assert (code, again["decision"]) == (0, "allow")
    assert deploy(lab, permitted).returncode == 1, "the first permit stays refused"
    done = deploy(lab, again)
    assert done.returncode == 0, done.stdout + done.stderr
    history_is_whole(lab, number)


def second_round_says_why(lab: Lab, number: int) -> None:
    """On the page and by API: which field, what it was, what it is."""
    tab = lab.at("omar", f"/promotions/{number}")
    changed = tab.locator("#changed")
    expect(changed.get_by_role("heading", name="What changed since round 1 was signed")).to_be_visible()
    row = changed.get_by_role("row").filter(has_text="log_sinks")
    expect(row.get_by_role("cell").nth(0)).to_have_text("azure:uaenorth")
    expect(row.get_by_role("cell").nth(1)).to_have_text("aws:me-central-1")
    expect(tab.locator("#signoffs").get_by_text("Round 1: for another subject, so it does not count.")).to_have_count(2)
    expect(tab.locator("#signoffs").get_by_text(WHY)).to_have_count(2)
    body = told(lab, number)
    assert (body["round"], [each["stale"] for each in body["signoffs"]]) == (2, [True, True])
    changed_fields = [(each["part"], each["field"]) for each in body["signoffs"][0]["changed"]]
    assert ("target", "log_sinks") in changed_fields


def a_policy_changes() -> None:
    """A pack comes into force by a second person; nothing that was signed was signed under it."""
    scene.in_force(packs.draft(scene.run_on_record(version=1, severity="warn"), by=scene.actor("omar")))


def history_is_whole(lab: Lab, number: int) -> None:
    """All five signatures and the refused permit are in the timeline of what is deployed now."""
    tab = lab.at("noor", f"/promotions/{number}")
    expect(tab.locator("#signoffs").get_by_text(WHY)).to_have_count(5)
    body = told(lab, number)
    assert (body["state"], body["round"], len(body["signoffs"])) == ("deployed", 3, 5)
    assert [each["stale"] for each in body["signoffs"]][3:] == [False, False]
