"""The page of a policy: what it requires in words, where it applies, whom it blocks now, its cases and its instant."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from governance import gate, packs, policies, rechecks, requirements
from governance.models.policy import PackState, PolicyPack
from tests.governance import scene
from tests.governance.policies.cases import without_cases
from tests.governance.scene import Bank
from tests.governance.test_activation import SLUG, STRICTER, drafted, instant

Browser = Callable[[str], Client]


def page(client: Client, address: str) -> str:
    answer = client.get(address)
    assert answer.status_code == 200, answer.content[:2000]
    return answer.content.decode()


def part(text: str, anchor: str) -> str:
    """One panel of the page."""
    return text.partition(f'<section class="panel" id="{anchor}"')[2].partition("</section>")[0]


def test_it_says_in_words_what_it_requires_of_whom_and_what_is_not_enabled(bank: Bank, client_for: Browser) -> None:
    text = page(client_for("noor"), "/policies/adgm-dpr")
    requires = part(text, "requires")
    assert "lies in a region or country that is allowed" in requires
    assert "was made under this law" in requires
    assert "ADGM DPR 2021 s. 41" in requires
    assert "data-protection officer" in requires.lower()
    assert "ADGM-RES-002" not in requires
    off = part(text, "not-enabled")
    assert "ADGM-RES-002" in off
    assert "The wording of s. 43 (binding corporate rules) was not read" in off
    assert "is not enabled" not in text
    qatar = page(client_for("noor"), "/policies/qatar-pdppl")
    assert "the law was not read" in part(qatar, "not-enabled")
    assert "A draft: it decides nothing." in qatar
    assert "Nobody: it is not in force." in part(qatar, "blocks")


def test_it_names_the_environments_of_today_and_those_that_nobody_knows(bank: Bank, client_for: Browser) -> None:
    everywhere = part(page(client_for("noor"), "/policies/uae-pdpl"), "where")
    assert all(f'href="/environments/{slug}"' in everywhere for slug in ("prod-uae", "dr-frankfurt", "staging"))
    limits = "applies: {tiers: [prod], environments: [prod-uae, prod-uea]}\nparams:"
    drafted(STRICTER.replace("params:", limits, 1), tried=False)
    there = part(page(client_for("noor"), f"/policies/{SLUG}/2"), "where")
    assert 'href="/environments/prod-uae"' in there
    assert 'href="/environments/staging"' not in there
    assert "nobody has registered" in there
    assert "prod-uea" in there


def test_whom_it_blocks_now_is_what_serves_and_what_waits_by_their_newest_decisions(
    bank: Bank, client_for: Browser
) -> None:
    noor = client_for("noor")
    assert "In force, and it blocks nothing now." in page(noor, "/policies/uae-pdpl")
    served = scene.serve(bank)
    gate.check(bank.new, bank.frankfurt, by=scene.actor("ci"))
    blocked = scene.request(bank, version=bank.old, place=bank.frankfurt)
    scene.request(bank)
    text = page(noor, "/policies/uae-pdpl")
    assert "In force: it blocks 1 deployment that serves and 1 open promotion now." in text
    panel = part(text, "blocks")
    assert f'href="/deployments/{served.pk}"' in panel
    assert f'href="/promotions/{blocked.pk}"' in panel
    assert "outside the UAE, with no valid contract" in panel
    assert "prod-uae" not in panel
    assert "blocks nothing" in page(noor, "/policies/ksa-pdpl")
    scene.cover()
    gate.check(bank.new, bank.frankfurt, by=scene.actor("ci"))
    assert f'href="/deployments/{served.pk}"' not in part(page(noor, "/policies/uae-pdpl"), "blocks")


def test_what_a_later_look_found_counts_though_no_decision_says_so(bank: Bank, client_for: Browser) -> None:
    served = scene.serve(bank)
    assert "blocks nothing" in page(client_for("noor"), "/policies/uae-pdpl")
    rechecks.recheck()
    panel = part(page(client_for("noor"), "/policies/uae-pdpl"), "blocks")
    assert f'href="/deployments/{served.pk}"' in panel
    assert "outside the UAE" in panel


def test_as_many_queries_for_many_blocked_as_for_one(bank: Bank, client_for: Browser) -> None:
    noor, counts = client_for("noor"), []
    scene.serve(bank)
    gate.check(bank.new, bank.frankfurt, by=scene.actor("ci"))
    scene.request(bank, place=bank.frankfurt)
    for number in range(2):
        page(noor, "/policies/uae-pdpl")
        with CaptureQueriesContext(connection) as queries:
            page(noor, "/policies/uae-pdpl")
        counts.append(len(queries))
        place = scene.environment(f"abroad-{number}", "prod", "azure:germanywestcentral", "EU")
        scene.serve(bank, bank.old, place)
        gate.check(bank.old, place, by=scene.actor("ci"))
        scene.request(bank, version=bank.old, place=place)
    assert counts[0] == counts[1] <= 15, "\n".join(each["sql"][:90] for each in queries.captured_queries)


def test_its_cases_stand_with_what_comes_out_today(bank: Bank, client_for: Browser) -> None:
    cases = part(page(client_for("noor"), "/policies/uae-pdpl"), "cases")
    count = len(policies.try_cases(policies.compile_pack(policies.shipped_packs()["uae-pdpl"])))
    assert f"All {count} cases hold." in cases
    assert "<bdi>in_region</bdi>" in cases
    assert "Otherwise:" not in cases
    drafted(tried=False)
    none = part(page(client_for("noor"), f"/policies/{SLUG}/2"), "cases")
    assert "It carries no cases" in none


def test_the_cases_run_on_the_draft_page_without_storing_and_stand_beside_a_refusal(
    bank: Bank, client_for: Browser
) -> None:
    omar = client_for("omar")
    whole = policies.shipped_packs()[SLUG].replace("version: 1\n", "version: 2\n", 1)
    ran = omar.post("/policies/new", {"text": whole.replace("\n", "\r\n"), "reason": "", "run": "cases"})
    assert ran.status_code == 200
    assert "cases hold." in part(ran.content.decode(), "cases")
    broken = whole.replace('"azure:uaenorth", ', "", 1)
    ran = omar.post("/policies/new", {"text": broken, "reason": "", "run": "cases"})
    otherwise = part(ran.content.decode(), "cases")
    assert "Otherwise:" in otherwise
    assert "<bdi>AE-RES-001</bdi>" in otherwise
    refused = omar.post("/policies/new", {"text": broken, "reason": "Abu Dhabi only."})
    assert refused.status_code == 400
    said = refused.content.decode()
    assert "The case &#x27;Where the law holds they may stay&#x27; expects allow; deny (AE-RES-001) came out" in said
    assert "Otherwise:" in part(said, "cases")
    misspelt = omar.post("/policies/new", {"text": whole.replace("flow.region", "flow.regoin"), "run": "cases"})
    assert (misspelt.status_code, "regoin" in misspelt.content.decode()) == (400, True)
    assert not PolicyPack.objects.filter(slug=SLUG, version=2).exists()


def test_a_version_is_compared_with_any_other(bank: Bank, client_for: Browser) -> None:
    drafted(tried=False)
    drafted(STRICTER.replace("version: 2\n", "version: 3\n"), tried=False)
    noor = client_for("noor")
    assert "What changes against version 1" in page(noor, f"/policies/{SLUG}/3")
    chosen = part(page(noor, f"/policies/{SLUG}/3?against=2"), "difference")
    assert "What changes against version 2" in chosen
    assert '<span class="diff-added">+version: 3</span>' in chosen
    assert "What changes against version 1" in page(noor, f"/policies/{SLUG}/3?against=nothing")
    assert "What changes" not in page(noor, "/policies/ksa-pdpl")


def test_it_is_scheduled_and_taken_back_on_its_page(bank: Bank, client_for: Browser) -> None:
    drafted()
    dana, noor = client_for("dana"), client_for("noor")
    address = f"/policies/{SLUG}/2"
    at = instant()
    form = {"reason": "From then on.", "at": at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M")}
    wrong = dana.post(f"{address}/activate", {**form, "at": "soon"}, follow=True)
    assert "is not a moment" in wrong.content.decode()
    over = dana.post(f"{address}/activate", {**form, "at": "2020-01-01T00:00"}, follow=True)
    assert "is over: a policy comes into force now or later" in over.content.decode()
    assert PolicyPack.objects.get(slug=SLUG, version=2).state == "draft"
    done = dana.post(f"{address}/activate", form, follow=True).content.decode()
    assert "decides from that second on" in done
    assert "It waits for its instant and decides nothing before." in done
    row = PolicyPack.objects.get(slug=SLUG, version=2)
    assert (row.state, row.activated_at) == ("scheduled", at.replace(second=0))
    assert "disabled" in part(page(noor, address), "activate")
    noor.post(f"{address}/unschedule", {"reason": "x"})
    dana.post(f"{address}/unschedule", {"reason": ""})
    assert PolicyPack.objects.get(slug=SLUG, version=2).state == "scheduled"
    back = dana.post(f"{address}/unschedule", {"reason": "Too early."}, follow=True).content.decode()
    assert "it is a draft again" in back
    assert dana.post(f"/policies/{SLUG}/77/unschedule", {"reason": "x"}).status_code == 404


def test_after_its_instant_the_pages_say_that_it_is_in_force_though_nobody_noted_it(
    bank: Bank, client_for: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    drafted()
    at = instant()
    packs.activate(SLUG, 2, reason="Then.", at=at, by=scene.actor("dana"))
    noor = client_for("noor")
    assert "version 2" not in page(noor, "/policies")
    monkeypatch.setattr(timezone, "now", lambda: at + timedelta(seconds=1))
    assert "version 2" in page(noor, "/policies")
    assert "uae-pdpl v2" in page(noor, f"/policies/{SLUG}")
    assert "In force" in page(noor, f"/policies/{SLUG}/2")
    assert "Retired: it decides nothing any more." in page(noor, f"/policies/{SLUG}/1")
    assert PolicyPack.objects.get(slug=SLUG, version=2).state == PackState.SCHEDULED


def test_a_finding_that_was_waived_blocks_nobody(bank: Bank) -> None:
    scene.serve(bank)
    decision = gate.check(bank.new, bank.frankfurt, by=scene.actor("ci")).decision
    assert decision is not None
    assert requirements._why(decision, SLUG)
    decision.findings = [{**each, "waived_by": "WV-1"} for each in decision.findings]
    assert requirements._why(decision, SLUG) == ""


def test_conditions_of_somebodys_own_pack_are_named_by_their_name() -> None:
    assert requirements.in_words("four_eyes_on_data") == "four eyes on data"
    known = {
        name
        for text in policies.shipped_packs().values()
        for rule in policies.compile_pack(without_cases(text)).pack.rules
        for part_ in (rule.require, rule.unless, rule.needs)
        for name, _text in part_
    }
    assert known <= set(requirements._CONDITIONS)
