"""Governance's pages: the conclusion first, disabled actions with their reason, a fixed number of queries."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import translation

from audit import queries as log
from governance import backtests, gate, packs, policies, rollouts
from registry import deployments
from tests import personas
from tests.governance import scene
from tests.governance.scene import Bank

Browser = Callable[[str], Client]
#: View name -> the most queries that its page may take, session, person and shell included.
BUDGETS = {
    "overview": 17,
    "review_queue": 8,
    "promotions": 9,
    "request_promotion": 7,
    "policies": 6,
    "policy": 11,
    "draft_policy": 5,
    "backtest": 7,
    "promotion": 20,
    "decision": 10,
    "record_transfer": 5,
    "transfers": 8,
    "rollback": 11,
    "emergencies": 6,
    "declare_emergency": 5,
    "waivers": 9,
    "propose_waiver": 5,
}


def _tried(version: int) -> int:
    """The number of a finished back-test."""
    row = backtests.request("uae-pdpl", version, by=scene.actor("omar"))
    assert backtests.perform(row.pk) == "finished"
    return row.pk


def _page(client: Client, view: str, *args: object) -> str:
    answer = client.get(reverse(f"governance:{view}", args=list(args)))
    assert answer.status_code == 200, answer.content[:2000]
    return answer.content.decode()


def _sign(client: Client, promotion: object, **change: str) -> object:
    data = {
        "meaning": "approve",
        "role": "ml_lead",
        "comment": "Checked the calibration curve.",
        "subject_digest": promotion.subject_digest,  # type: ignore[attr-defined]
        "password": personas.PASSWORD,
        **change,
    }
    return client.post(reverse("governance:sign", args=[promotion.pk]), data)  # type: ignore[attr-defined]


def test_the_overview_shows_one_red_and_one_amber_item_that_open_their_promotions(
    bank: Bank, client_for: Browser
) -> None:
    red, amber = scene.request(bank, place=bank.frankfurt), scene.request(bank)
    page = _page(client_for("omar"), "overview")
    assert "1 promotion is blocked. 1 waits for your sign-off." in page
    for promotion in (red, amber):
        assert f'href="{reverse("governance:promotion", args=[promotion.pk])}"' in page


def test_the_overview_leaves_sign_ins_to_the_log(bank: Bank, client_for: Browser) -> None:
    promotion = scene.request(bank)
    Client().post(reverse("governance:login"), {"username": "layla", "password": personas.PASSWORD})
    assert log.search().rows[0].event.startswith("session.")
    recent = _page(client_for("omar"), "overview").partition('id="recent"')[2]
    assert "requested a promotion" in recent
    assert "signed in" not in recent
    assert promotion.pk


def test_the_overview_of_an_empty_installation_says_so(db: None, client_for: Browser) -> None:
    page = _page(client_for("amir"), "overview")
    assert "Nothing is blocked and nothing waits for a sign-off." in page
    assert "Nothing serves yet" in page


def test_a_blocked_promotion_says_why_which_clause_by_which_path_and_how_to_pass(
    bank: Bank, client_for: Browser
) -> None:
    promotion = scene.request(bank, place=bank.frankfurt)
    page = _page(client_for("dana"), "promotion", promotion.pk)
    assert "Blocked:" in page
    for words in ("Federal Decree-Law 45/2021 Art. 22", "How it is reached:", "To pass:", "Dana Weiss", "AE-RES-001"):
        assert words in page, words


def test_what_blocks_in_two_ways_is_told_once_in_words(bank: Bank, client_for: Browser) -> None:
    promotion = scene.request(bank, place=bank.frankfurt)
    page = _page(client_for("dana"), "promotion", promotion.pk)
    assert "environment:dr-frankfurt (serving, inference log) is in" in page
    for machine_word in ("inference_log", "not_expired", "covers_subject", "covers_region"):
        assert machine_word not in page, machine_word
    told = page.count('class="finding')
    blocking = [each for each in promotion.decided_by.findings if each["outcome"] == "fail"]  # type: ignore[union-attr]
    assert told < len(blocking)
    assert page.count("To pass:") == len({each["rule"] for each in blocking})


def test_the_requester_sees_no_button_but_the_reason(bank: Bank, client_for: Browser) -> None:
    promotion = scene.request(bank)
    page = _page(client_for("yusuf"), "promotion", promotion.pk)
    assert "You requested this promotion; someone else must sign." in page
    assert reverse("governance:sign", args=[promotion.pk]) not in page
    assert reverse("governance:withdraw", args=[promotion.pk]) in page


def test_an_auditor_and_an_administrator_see_no_form_to_sign_and_why(bank: Bank, client_for: Browser) -> None:
    promotion = scene.request(bank)
    for name in ("noor", "amir", "dana"):
        page = _page(client_for(name), "promotion", promotion.pk)
        assert "You may not sign:" in page
        assert reverse("governance:sign", args=[promotion.pk]) not in page


def test_a_reviewer_signs_on_the_page_with_comment_and_password(bank: Bank, client_for: Browser) -> None:
    promotion = scene.request(bank)
    layla = client_for("layla")
    page = _page(layla, "promotion", promotion.pk)
    assert f'name="subject_digest" value="{promotion.subject_digest}"' in page
    assert "approve that credit-scoring/14 serves in prod-uae" in page
    assert _sign(layla, promotion).status_code == 302  # type: ignore[attr-defined]
    page = _page(layla, "promotion", promotion.pk)
    assert "Waiting for sign-off: compliance officer." in page
    assert "Layla Haddad" in page
    assert "Checked the calibration curve." in page


def test_a_wrong_password_signs_nothing_and_keeps_what_was_typed(bank: Bank, client_for: Browser) -> None:
    promotion = scene.request(bank)
    answer = _sign(client_for("layla"), promotion, password="not this one")
    assert answer.status_code == 403  # type: ignore[attr-defined]
    page = answer.content.decode()  # type: ignore[attr-defined]
    assert "The password is wrong; nothing was signed." in page
    assert "Checked the calibration curve." in page
    assert "not this one" not in page
    assert not promotion.signoffs.exists()
    assert log.history(promotion.subject)[0].event == "signoff.refused"


def test_what_changed_while_the_page_was_open_is_not_signed(bank: Bank, client_for: Browser) -> None:
    promotion = scene.request(bank)
    answer = _sign(client_for("layla"), promotion, subject_digest=scene.digest_of("yesterday"))
    assert answer.status_code == 409  # type: ignore[attr-defined]
    assert "has changed since it was shown" in answer.content.decode()  # type: ignore[attr-defined]


def test_the_requester_who_posts_the_form_by_hand_is_refused_and_recorded(bank: Bank, client_for: Browser) -> None:
    promotion = scene.request(bank)
    answer = _sign(client_for("yusuf"), promotion)
    assert answer.status_code == 403  # type: ignore[attr-defined]
    assert log.history(promotion.subject)[0].facts["rule"] == "signoff.requester"


def test_the_candidate_is_compared_with_what_serves(bank: Bank, client_for: Browser) -> None:
    deployments.record_deploy(bank.uae, bank.old, by=scene.SET_UP)
    promotion = scene.request(bank)
    page = _page(client_for("layla"), "promotion", promotion.pk)
    for words in ("0.866", "0.871", "+0.005", "Better", "v13, 100 % of the traffic"):
        assert words in page, words


def test_what_is_over_is_compared_with_what_served_when_it_was_requested(bank: Bank, client_for: Browser) -> None:
    deployments.record_deploy(bank.uae, bank.old, by=scene.SET_UP)
    promotion = scene.approved(bank)
    answer = gate.check(bank.new, bank.uae, action="deploy", by=scene.actor("ci"))
    assert answer.decision is not None
    rollouts.record_deploy(
        answer.decision.public_id, secret=answer.secret, environment="prod-uae", by=scene.actor("ci")
    )
    page = _page(client_for("noor"), "promotion", promotion.pk)
    for words in ("Compared with what served when it was requested", "v13, 100 % of the traffic", "+0.005"):
        assert words in page, words


def test_with_nothing_to_compare_no_data_set_is_called_unchanged(bank: Bank, client_for: Browser) -> None:
    page = _page(client_for("dana"), "promotion", scene.request(bank, place=bank.frankfurt).pk)
    assert "there is nothing to compare with" in page
    assert "unchanged" not in page


def test_once_everybody_signed_nobody_is_told_that_they_may_not(bank: Bank, client_for: Browser) -> None:
    promotion = scene.approved(bank)
    for name in ("layla", "noor"):
        page = _page(client_for(name), "promotion", promotion.pk)
        assert "2 people signed." in page
        assert "You may not sign:" not in page


def test_a_decision_names_who_may_sign(bank: Bank, client_for: Browser) -> None:
    checked = gate.check(bank.new, bank.uae, by=scene.actor("ci"))
    assert checked.decision is not None
    assert "Layla Haddad" in _page(client_for("noor"), "decision", checked.decision.public_id)


def test_the_queue_lists_what_i_may_sign_apart_from_what_i_may_not(bank: Bank, client_for: Browser) -> None:
    scene.request(bank, by="layla")
    assert "1 promotion waits for your sign-off." in _page(client_for("jonas"), "review_queue")
    assert "Nothing waits for your sign-off." in _page(client_for("layla"), "review_queue")
    assert "Nothing waits for your sign-off." in _page(client_for("noor"), "review_queue")


def test_a_person_requests_on_the_page_and_lands_on_the_verdict(bank: Bank, client_for: Browser) -> None:
    yusuf = client_for("yusuf")
    data = {"version": bank.new.subject, "environment": "prod-uae", "strategy": "all_at_once", "reason": "Better."}
    answer = yusuf.post(reverse("governance:request_promotion"), data, follow=True)
    assert "Waiting for sign-off:" in answer.content.decode()
    shared = yusuf.post(reverse("governance:request_promotion"), {**data, "strategy": "canary"})
    assert shared.status_code == 400
    assert 'id="id_weight_error"' in shared.content.decode()
    again = yusuf.post(reverse("governance:request_promotion"), data)
    assert again.status_code == 409
    assert yusuf.post(reverse("governance:request_promotion"), {**data, "version": "version:x/1"}).status_code == 400
    assert client_for("noor").post(reverse("governance:request_promotion"), data).status_code == 403


def test_a_rollback_is_recorded_on_one_form_with_reason_and_incident(bank: Bank, client_for: Browser) -> None:
    deployments.record_deploy(bank.uae, bank.old, by=scene.SET_UP)
    deployments.record_deploy(bank.uae, bank.new, by=scene.SET_UP)
    address = reverse("governance:rollback", args=["prod-uae", "credit-scoring"])
    layla = client_for("layla")
    assert layla.post(address, {"version": "13", "reason": "Approvals doubled."}).status_code == 400
    data = {"version": "13", "reason": "Approvals doubled.", "incident": "INC-204"}
    assert client_for("omar").post(address, data).status_code == 403
    assert layla.post(address, data).status_code == 302
    assert deployments.serving(bank.uae, bank.model)[0].version.pk == bank.old.pk


def test_a_policy_is_shown_as_sentences_and_as_text_and_names_whom_it_blocks(bank: Bank, client_for: Browser) -> None:
    promotion = scene.request(bank, place=bank.frankfurt)
    omar = client_for("omar")
    assert "14 policies are in force" in _page(omar, "policies")
    page = _page(omar, "policy", "uae-pdpl")
    assert "not reviewed by a lawyer" in page
    assert "unless_any: safeguard" in page
    assert reverse("governance:promotion", args=[promotion.pk]) in page
    assert "two-person-production v1" in _page(omar, "policy", "two-person-production/1")
    assert omar.get(reverse("governance:policy", args=["nothing"])).status_code == 404


def test_unknown_promotions_and_decisions_are_404(bank: Bank, client_for: Browser) -> None:
    omar = client_for("omar")
    for view, argument in (("promotion", 424242), ("decision", "dec_NOTHING")):
        assert omar.get(reverse(f"governance:{view}", args=[argument])).status_code == 404


def test_nobody_reads_anything_without_signing_in(bank: Bank, client: Client) -> None:
    for view in ("overview", "review_queue", "promotions", "policies", "transfers"):
        assert client.get(reverse(f"governance:{view}")).status_code == 302


def _fill(bank: Bank) -> dict[str, list[object]]:
    """Something on every page; returns the arguments of those that take any."""
    deployments.record_deploy(bank.uae, bank.old, by=scene.SET_UP)
    blocked = scene.request(bank, place=bank.frankfurt)
    promotion = scene.request(bank)
    scene.sign(promotion, "jonas", "ml_lead")
    checked = gate.check(bank.old, bank.frankfurt, by=scene.actor("ci"))
    packs.draft(policies.shipped_packs()["uae-pdpl"].replace("version: 1\n", "version: 2\n"), by=scene.actor("omar"))
    assert blocked.pk
    assert checked.decision is not None
    return {
        "promotion": [promotion.pk],
        "policy": ["uae-pdpl/2"],
        "backtest": [_tried(2)],
        "decision": [checked.decision.public_id],
        "rollback": ["prod-uae", "credit-scoring"],
    }


@pytest.mark.parametrize("view", sorted(BUDGETS))
def test_each_page_stays_within_its_query_budget(bank: Bank, client_for: Browser, view: str) -> None:
    arguments = _fill(bank)
    omar = client_for("omar")
    _page(omar, view, *arguments.get(view, []))
    with CaptureQueriesContext(connection) as queries:
        _page(omar, view, *arguments.get(view, []))
    statements = [each["sql"][:90] for each in queries.captured_queries]
    assert len(statements) <= BUDGETS[view], "\n".join(statements)


def test_a_versions_page_lists_its_promotions_and_offers_to_request_one(bank: Bank, client_for: Browser) -> None:
    promotion = scene.request(bank)
    address = reverse("registry:version", args=["credit-scoring", 14])
    page = client_for("yusuf").get(address).content.decode()
    assert f'href="{reverse("governance:promotion", args=[promotion.pk])}"' in page
    assert f"{reverse('governance:request_promotion')}?version=version%3Acredit-scoring/14" in page
    assert "Requesting a promotion needs the role" in client_for("noor").get(address).content.decode()


@pytest.mark.parametrize(
    ("place", "language", "begins"),
    [
        ("uae", "en", "Waiting for sign-offs: 1 ML lead, 1 compliance officer."),
        ("frankfurt", "en", "Denied: "),
        ("staging", "en", "Allowed"),
        ("frankfurt", "ar", "مرفوض: "),
    ],
)
def test_a_decisions_page_concludes_in_the_readers_language(
    bank: Bank, client_for: Browser, place: str, language: str, begins: str
) -> None:
    shown = gate.check(bank.new, getattr(bank, place), by=scene.actor("ci")).decision
    assert shown is not None
    client = client_for("noor")
    client.cookies["django_language"] = language
    with translation.override("en"):  # the page's language would stay with this thread
        page = client.get(reverse("governance:decision", args=[shown.public_id])).content.decode()
    lede = page.partition('class="lede')[2].partition(">")[2].partition("<")[0].strip()
    assert lede.startswith(begins), lede
