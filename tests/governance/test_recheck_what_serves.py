"""What serves is decided again when its safeguard ends: a finding with an owner, an order to halt, gone when lawful."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from audit import queries as log
from audit.actors import Actor
from audit.refusals import BadInput, Conflict, NotKnown
from governance import decisions, gate, halting, rechecks, tasks, transfers
from governance.facts import Case
from governance.models.decision import Action
from governance.models.transfer import TransferHalt, TransferSafeguard
from registry import datasets, deployments, environments, finding_wording, findings, incidents, versions
from registry.lineage import edges
from registry.models import Deployment, Environment, Finding, FindingKind, ModelVersion
from registry.reconciling.run import reconcile
from tests.governance import scene
from tests.governance.scene import Bank

Browser = Callable[[str], Client]
Later = Callable[[timedelta], None]


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Later:
    """Move the clock on."""
    truly = timezone.now

    def move(by: timedelta) -> None:
        monkeypatch.setattr(timezone, "now", lambda: truly() + by)

    return move


def cover(
    reference: str = "TS-1", *, days: int = 30, subjects: tuple[str, ...] = ("environment:dr-frankfurt",)
) -> None:
    """A safeguard that two people put in force for Frankfurt."""
    transfers.record(
        reference,
        type="SCC",
        document="SCC with Bank Frankfurt",
        subjects=list(subjects),
        regions=["azure:germanywestcentral"],
        expires_at=timezone.now() + timedelta(days=days),
        risk_assessment_at=timezone.now(),
        assessment=scene.ASSESSMENT,
        by=scene.actor("dana"),
    )
    transfers.approve(reference, reason="Read it.", by=scene.actor("omar"))


def serve(bank: Bank, version: ModelVersion | None = None, place: Environment | None = None) -> Deployment:
    """It serves, however it came there."""
    return deployments.record_deploy(place or bank.frankfurt, version or bank.new, by=scene.SET_UP)


def unlawful() -> list[Finding]:
    return list(Finding.objects.unlawful().order_by("pk"))


def test_a_promotion_abroad_is_denied_made_lawful_by_two_people_and_a_finding_when_that_ends(
    bank: Bank, later: Later
) -> None:
    """Journey J8."""
    salaries = datasets.register_dataset(
        "salaries-ksa",
        classification="personal",
        subjects=["SA"],
        regions_held=["gcp:me-central2"],
        confirmed=True,
        by=scene.SET_UP,
    )
    version = versions.register_version(
        bank.model, digest=scene.digest_of("credit-scoring/15"), trained_by=["yusuf"], number=15, by=scene.SET_UP
    )
    edges.record_edge(salaries, version, by=scene.SET_UP)
    denied = gate.check(version, bank.frankfurt, by=scene.actor("ci")).verdict
    assert denied.outcome == "deny"
    clause = next(each for each in denied.findings if each["rule"] == "SA-RES-001" and each["outcome"] == "fail")
    assert "TR Art. 4(1)" in clause["cites"]
    assert clause["path"] == [version.subject, "environment:dr-frankfurt"]

    cover()
    assert gate.check(version, bank.frankfurt, by=scene.actor("ci")).verdict.outcome == "pending", "people may sign now"
    serving = serve(bank, version)
    assert rechecks.follow_up() == []
    assert unlawful() == []

    later(timedelta(days=31))
    assert rechecks.follow_up() == ["TS-1"]
    [finding] = unlawful()
    assert (finding.concerns, finding.environment) == (serving.subject, "dr-frankfurt")
    assert finding.observed["rule"] == "SA-RES-001"
    assert "TR Art. 4(1)" in finding.observed["cites"]
    assert finding.observed["safeguard"] == "TS-1"
    assert finding.observed["subjects"] == "environment:dr-frankfurt"
    sentence = finding_wording.sentence(finding)
    assert "credit-scoring/15 serves in dr-frankfurt and is no longer lawful since TS-1 ended" in sentence
    assert log.history(finding.subject)[0].event == "finding.opened"
    entry = log.history("safeguard:TS-1")[0]
    assert (entry.event, entry.facts["how"], entry.facts["deployments"]) == (
        "safeguard.ended",
        "expired",
        [serving.subject],
    )
    findings.take(finding.pk, by=scene.actor("dana"))
    findings.close(finding.pk, reason="It is drained on Sunday.", by=scene.actor("omar"))
    assert rechecks.follow_up() == []
    assert [each.state for each in unlawful()] == ["closed"], "accepted with a reason, and still there"


def test_an_unknown_country_anywhere_denies_and_is_found_in_what_serves(bank: Bank) -> None:
    serve(bank, place=bank.uae)
    assert rechecks.recheck().opened == 0
    nowhere = datasets.register_dataset(
        "bureau", classification="personal", subjects=["AE"], regions_held=[], by=scene.SET_UP
    )
    edges.record_edge(nowhere, bank.new, by=scene.SET_UP)
    denied = gate.check(bank.new, bank.uae, by=scene.actor("ci")).verdict
    assert denied.outcome == "deny"
    rechecks.recheck()
    finding = next(each for each in unlawful() if each.observed["rule"] == "AE-RES-001")
    assert "an unknown region" in finding.observed["message"]
    assert finding.observed["subjects"] == "dataset:bureau"
    assert "safeguard" not in finding.observed


def test_a_revocation_is_followed_up_at_once_and_what_is_lawful_again_is_gone(
    bank: Bank, django_capture_on_commit_callbacks: Any, caplog: pytest.LogCaptureFixture
) -> None:
    cover()
    serve(bank)
    with django_capture_on_commit_callbacks(execute=True) as ordered:
        transfers.revoke("TS-1", reason="The importer was sold.", by=scene.actor("dana"))
    assert len(ordered) == 1
    assert "the clock will" in caplog.text, "no broker runs here, and the person who revokes must not notice"
    tasks.follow_up_safeguards()
    [finding] = unlawful()
    assert finding.observed["safeguard"] == "TS-1"
    cover("TS-2")
    tasks.follow_up_safeguards()
    assert unlawful() == []
    finding.refresh_from_db()
    assert finding.gone is not None
    assert log.history(finding.subject)[0].event == "finding.resolved"


def test_deciding_again_twice_changes_nothing(bank: Bank) -> None:
    cover()
    serve(bank)
    transfers.revoke("TS-1", reason="Sold.", by=scene.actor("dana"))
    assert rechecks.follow_up() == ["TS-1"]
    before = log.search().rows[0].index
    assert rechecks.follow_up() == []
    assert rechecks.recheck().opened == 0
    assert log.search().rows[0].index == before
    assert Finding.objects.get().seen.times == 3


def test_a_finding_is_gone_when_the_deployment_is(bank: Bank) -> None:
    cover()
    row = serve(bank)
    transfers.revoke("TS-1", reason="Sold.", by=scene.actor("dana"))
    rechecks.follow_up()
    deployments.end_deployment(row, by=scene.SET_UP)
    rechecks.follow_up()
    assert unlawful() == []


def test_only_what_a_safeguard_can_touch_is_decided_again(bank: Bank) -> None:
    cover(subjects=("dataset:loans-2026q3",))
    row = TransferSafeguard.objects.get()
    there, here = serve(bank, bank.old), serve(bank, bank.new, bank.uae)
    assert rechecks.touched_by([row]) == [there, here]
    other = versions.register_version(
        bank.model, digest=scene.digest_of("x"), trained_by=["yusuf"], number=20, by=scene.SET_UP
    )
    serve(bank, other, bank.staging)
    assert rechecks.touched_by([row]) == [there, here]
    row.subjects = ["environment:staging"]
    assert [each.version for each in rechecks.touched_by([row])] == [other]


def test_what_cannot_be_decided_is_a_finding_too(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    cover()
    serve(bank)

    def broken(case: Case, **more: object) -> decisions.Verdict:
        raise ValueError("a rule of somebody's own")

    with monkeypatch.context() as patched:
        patched.setattr(decisions, "evaluate", broken)
        assert rechecks.recheck().opened == 1
    [finding] = unlawful()
    assert finding.observed["outcome"] == "error"
    assert "whether it may cannot be decided: ValueError: a rule of somebody's own" in finding_wording.sentence(finding)
    assert rechecks.recheck().gone == 1


def test_shared_facts_are_the_facts_that_each_case_would_read_alone(bank: Bank) -> None:
    opened = incidents.open_incident(
        "Consent withdrawn",
        root=bank.loans.subject,
        since=timezone.now() - timedelta(days=9),
        reason="Letter.",
        by=scene.actor("omar"),
    )
    cover()
    serve(bank, bank.old)
    serve(bank, bank.new, bank.uae)
    for frozen in (False, True):
        if frozen:
            incidents.freeze(opened.reference, reason="Nothing may ship.", by=scene.actor("omar"))
        rows = rechecks.serving()
        judged = {each.deployment.pk: each for each in rechecks.judge(rows, rechecks.read(rows))}
        for row in rows:
            plan = {"strategy": row.strategy, "weight": row.weight}
            case = Case(row.version, row.environment, Action.RUN, plan, rechecks.CLOCK.id)
            alone = decisions.evaluate(case, needs_signoffs=False)
            with rechecks.sharing.using(rechecks.read(rows)):
                together = decisions.evaluate(case, needs_signoffs=False)
            assert {**together.facts, "now": ""} == {**alone.facts, "now": ""}
            assert together.findings == alone.findings
            assert judged[row.pk].lawful == (alone.outcome == "allow") == (not frozen)


def test_deciding_again_takes_as_many_queries_for_twelve_as_for_two(bank: Bank) -> None:
    counts = []
    for number in (2, 12):
        while Deployment.objects.open().count() < number:
            slug = f"place-{Deployment.objects.count()}"
            serve(bank, bank.new, scene.environment(slug, "prod", "azure:uaenorth", "AE-federal"))
        with CaptureQueriesContext(connection) as queries:
            rows = rechecks.serving()
            assert all(each.lawful for each in rechecks.judge(rows, rechecks.read(rows)))
        assert len(rows) == number
        counts.append(len(queries))
    assert counts[0] == counts[1] <= 7


def test_the_reconciler_and_this_leave_each_others_findings_alone(bank: Bank) -> None:
    cover()
    serve(bank)
    transfers.revoke("TS-1", reason="Sold.", by=scene.actor("dana"))
    rechecks.follow_up()
    reconcile(by=scene.SET_UP)
    assert len(unlawful()) == 1
    environments.register_endpoint(
        "credit-frankfurt",
        environment=bank.frankfurt,
        version=bank.old,
        url="http://127.0.0.1:1",
        output={"kind": "score"},
        by=scene.SET_UP,
    )
    reconcile(by=scene.SET_UP)
    kinds = set(Finding.objects.standing().values_list("kind", flat=True))
    assert len(kinds) > 1
    rechecks.recheck()
    assert set(Finding.objects.standing().values_list("kind", flat=True)) == kinds
    assert FindingKind.NO_LONGER_LAWFUL in kinds


def test_what_would_fall_without_a_safeguard_is_computed_by_deciding_without_it(bank: Bank) -> None:
    cover("TS-1", days=10)
    row = serve(bank)
    rows = rechecks.serving()
    shared = rechecks.read(rows)
    judged = rechecks.judge(rows, shared)
    assert [each.deployment for each in rechecks.falling("TS-1", judged, shared)] == [row]
    cover("TS-2", days=20)
    shared = rechecks.read(rows)
    judged = rechecks.judge(rows, shared)
    assert rechecks.falling("TS-1", judged, shared) == rechecks.falling("TS-2", judged, shared) == []


def test_halting_is_ordered_owned_and_done_with_who_was_notified(bank: Bank) -> None:
    cover()
    cover("TS-unused", subjects=("environment:staging",))
    row = serve(bank)
    with pytest.raises(NotKnown):
        halting.find("TS-1")
    for reference in ("TS-1", "TS-unused"):
        transfers.revoke(reference, reason="Sold.", by=scene.actor("dana"))
    assert sorted(rechecks.follow_up()) == ["TS-1", "TS-unused"]
    halt = TransferHalt.objects.get()
    assert halt.safeguard.reference == "TS-1", "nothing relied on the other"
    assert halt.relied == [
        {"deployment": row.subject, "version": bank.new.subject, "environment": "dr-frankfurt"},
    ]
    assert halting.take("TS-1", by=scene.actor("dana")).owner == scene.actor("dana").id
    with pytest.raises(Conflict):
        halting.take("TS-1", by=scene.actor("dana"))
    for reason, recipients in (("", ["Bank, Frankfurt"]), ("Drained.", []), ("Drained.", [" "])):
        with pytest.raises(BadInput):
            halting.done("TS-1", reason=reason, recipients=recipients, by=scene.actor("dana"))
    halting.done("TS-1", reason="Drained.", recipients=["Bank, Frankfurt"], by=scene.actor("dana"))
    assert [each.event for each in log.history("halt:TS-1")] == ["halt.done", "halt.taken", "halt.opened"]
    with pytest.raises(Conflict):
        halting.done("TS-1", reason="Again.", recipients=["x"], by=scene.actor("omar"))
    for change in ({"recipients": []}, {"relied": []}, {"done_by": ""}):
        with pytest.raises(DatabaseError), transaction.atomic():
            TransferHalt.objects.update(**change)


def test_what_is_covered_by_a_renewal_is_not_ordered_to_halt(bank: Bank, later: Later) -> None:
    cover("TS-1", days=10)
    cover("TS-2", days=40)
    serve(bank)
    later(timedelta(days=11))
    assert rechecks.follow_up() == ["TS-1"]
    assert not TransferHalt.objects.exists()
    assert unlawful() == []


def test_the_list_says_what_ends_next_and_what_would_fall_in_a_fixed_number_of_queries(
    bank: Bank, client_for: Browser
) -> None:
    address = reverse("governance:transfers")
    noor = client_for("noor")
    assert "No safeguard counts now." in noor.get(address).content.decode()
    cover("TS-late", days=90, subjects=("environment:staging",))
    cover("TS-soon", days=9)
    serve(bank)
    day = f"{timezone.now() + timedelta(days=9):%Y-%m-%d}"
    page = noor.get(address).content.decode()
    assert f"2 safeguards count. TS-soon ends next, on {day}, and 1 deployment that serves would fall with it." in page
    assert page.index(">TS-soon<") < page.index(">TS-late<"), "what ends first is on top"
    counts = []
    for number in (1, 9):
        while Deployment.objects.open().count() < number:
            slug = f"place-{Deployment.objects.count()}"
            place = scene.environment(slug, "prod", "azure:germanywestcentral", "EU")
            serve(bank, bank.new, place)
            cover(f"TS-{slug}", subjects=(place.subject,))
        for view, arguments in (("transfers", []), ("transfer", ["TS-soon"])):
            with CaptureQueriesContext(connection) as queries:
                assert noor.get(reverse(f"governance:{view}", args=arguments)).status_code == 200
            counts.append(len(queries))
    assert counts[:2] == counts[2:], "the number of queries grows with what is covered"
    assert max(counts) <= 18


def test_a_safeguards_page_names_what_would_fall_and_the_api_all_of_it(
    bank: Bank, client_for: Browser, api_for: Browser
) -> None:
    cover()
    row = serve(bank)
    page = client_for("noor").get(reverse("governance:transfer", args=["TS-1"])).content.decode()
    assert f'href="{row.get_absolute_url()}"' in page
    assert "AE-RES-001: environment:dr-frankfurt" in page
    told = api_for("noor").get("/api/v1/transfers/TS-1/reliance").json()
    assert [each["id"] for each in told["would_fall"]] == [row.pk]
    assert {each["rule"] for each in told["would_fall"][0]["findings"]} == {"AE-RES-001"}


def test_what_is_no_longer_lawful_is_said_wherever_the_deployment_stands(bank: Bank, client_for: Browser) -> None:
    cover()
    row = serve(bank)
    noor = client_for("noor")
    addresses = [
        reverse("governance:overview"),
        reverse("registry:environment", args=["dr-frankfurt"]),
        reverse("registry:deployment", args=[row.pk]),
        reverse("registry:deployments"),
        reverse("registry:reconciler"),
    ]
    for address in addresses:
        assert "on-compliant" not in noor.get(address).content.decode()
    transfers.revoke("TS-1", reason="Sold.", by=scene.actor("dana"))
    rechecks.follow_up()
    [finding] = unlawful()
    for address in addresses:
        page = noor.get(address).content.decode()
        assert f'href="{finding.get_absolute_url()}"' in page, address
        assert "on-compliant" in page or "no longer lawful" in page, address
    assert "1 deployment serves and is no longer lawful." in noor.get(addresses[0]).content.decode()
    assert "1 deployment here is no longer lawful." in noor.get(addresses[1]).content.decode()


def test_halting_is_done_on_the_page_and_by_programs(bank: Bank, client_for: Browser, api_for: Browser) -> None:
    cover()
    serve(bank)
    transfers.revoke("TS-1", reason="Sold.", by=scene.actor("dana"))
    rechecks.follow_up()
    overview = client_for("noor").get(reverse("governance:overview")).content.decode()
    assert "It ended while 1 deployment relied on it: halt the transfer" in overview
    take, finish = (reverse(f"governance:{name}_halt", args=["TS-1"]) for name in ("take", "finish"))
    assert client_for("noor").post(take).status_code == 403
    assert client_for("dana").post(take).status_code == 302
    assert client_for("dana").post(finish, {"reason": "Drained.", "recipients": " "}).status_code == 400
    listed = api_for("noor").get("/api/v1/transfer-halts").json()["results"]
    assert [(each["safeguard"], each["state"]) for each in listed] == [("TS-1", "taken")]
    omar = api_for("omar")
    told = omar.post("/api/v1/transfer-halts/TS-1/take", {}, content_type="application/json").json()
    assert told["owner"] == scene.actor("omar").id
    done = {"reason": "Drained.", "recipients": "Bank, Frankfurt\r\nBank, Paris\r\n"}
    assert client_for("dana").post(finish, done).status_code == 302
    assert TransferHalt.objects.get().recipients == ["Bank, Frankfurt", "Bank, Paris"]
    body = {"reason": "Again.", "recipients": ["x"]}
    again = omar.post("/api/v1/transfer-halts/TS-1/done", body, content_type="application/json")
    assert again.status_code == 409
    page = client_for("noor").get(reverse("governance:transfer", args=["TS-1"])).content.decode()
    assert "Bank, Paris" in page


def test_two_workers_at_once_open_one_finding_and_one_order(committed_db: object) -> None:
    bank = scene.build()
    cover()
    serve(bank)
    transfers.revoke("TS-1", reason="Sold.", by=scene.actor("dana"))
    together, failed = threading.Barrier(2), list[BaseException]()

    def work() -> None:
        try:
            together.wait(20)
            rechecks.follow_up(by=Actor.system("rechecks"))
        except BaseException as error:
            failed.append(error)
        finally:
            connection.close()

    workers = [threading.Thread(target=work) for _ in range(2)]
    for each in workers:
        each.start()
    for each in workers:
        each.join(60)
    assert not failed
    assert Finding.objects.unlawful().count() == TransferHalt.objects.count() == 1
    assert log.history("safeguard:TS-1")[0].event == "safeguard.ended"
