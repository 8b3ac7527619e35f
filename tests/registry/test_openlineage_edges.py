"""What OpenLineage's events make of the lineage: complete runs, in any order, claims that only make things stricter."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from registry import datasets, versions
from registry.lineage import edges
from registry.models import (
    Dataset,
    LineageEdge,
    OpenLineageEvent,
    OpenLineageName,
    OpenLineageOutcome,
    Run,
)
from registry.pages.lineage import picture_of
from registry.queries import lineage_closure
from registry.sources import openlineage, openlineage_intake
from registry.sources.openlineage_events import Identity
from registry.sources.openlineage_names import name_of
from tests.registry.openlineage import BY, WAREHOUSE, graph, run_event, run_id, send, subject, table, tags, text

pytestmark = pytest.mark.django_db


def test_a_complete_run_reads_and_writes() -> None:
    send(run_event(1, "START", reads=("raw.loans",)))
    assert (graph(), Run.objects.count(), Dataset.objects.count()) == (set(), 0, 0), "a start is provisional"
    send(run_event(1, "COMPLETE", writes=("marts.loans",)))
    run = f"run:{run_id(1)}"
    assert graph() == {(subject("raw.loans"), run, "input"), (run, subject("marts.loans"), "wrote")}
    stored = Run.objects.get()
    assert (stored.name, stored.params["job.namespace"]) == ("job-1", "nightly")
    assert (stored.started is not None, stored.ended is not None, stored.contributors) == (True, True, ["system:tests"])
    called = OpenLineageName.objects.get(name="raw.loans")
    assert (called.namespace, f"dataset:{called.dataset_name}") == (WAREHOUSE, subject("raw.loans"))


def test_failed_and_aborted_runs_record_nothing_and_take_nothing_back() -> None:
    send(
        run_event(1, "START", reads=("a",)), run_event(1, "FAIL", writes=("b",)), run_event(2, "ABORT", ("a",), ("b",))
    )
    assert graph() == set()
    send(run_event(3, "COMPLETE", ("a",), ("b",)))
    before = graph()
    send(run_event(3, "FAIL", ("a",), ("c",)), run_event(3, "ABORT"))
    assert graph() == before != set()


def test_the_entries_name_the_event_and_the_account() -> None:
    send(run_event(1, "COMPLETE", ("a",), ("b",)))
    digest = OpenLineageEvent.objects.get().digest
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT told ->> 'event', told #>> '{facts,evidence}', told #>> '{actor,id}'"
            " FROM (SELECT convert_from(entry, 'UTF8')::jsonb AS told FROM audit.entry) AS entries"
        )
        rows = cursor.fetchall()
    assert {row[0] for row in rows} == {"dataset.registered", "run.registered", "lineage.recorded"}
    assert {row[1] for row in rows if row[0] != "dataset.registered"} == {digest}
    assert {row[2] for row in rows} == {"system:tests"}


def test_what_a_run_wrote_is_in_the_closure_that_gates_ask() -> None:
    """raw -> dbt -> mart, and a model that learned from the mart, which the registry and the producer both name."""
    mart = {"namespace": "countersign", "name": "mart"}
    send(run_event(1, "COMPLETE", ("raw", "lookup"), (mart,)))
    model = versions.register_model("m", title="m", owner="o", purpose="p", risk="high", risk_reason="r", by=BY)
    version = versions.register_version(model, digest=f"sha256:{1:064x}", trained_by=["yusuf"], by=BY)
    edges.record_edge(Dataset.objects.get(name="mart"), version, by=BY)
    reached = {each.dataset.subject for each in lineage_closure(version)}
    assert reached == {"dataset:mart", subject("raw"), subject("lookup")}
    unknown = next(each.dataset for each in lineage_closure(version) if each.dataset.subject == subject("raw"))
    assert unknown.unknown_facts == ("classification", "regions", "subjects")


def test_a_table_that_is_updated_in_place_keeps_every_source() -> None:
    send(run_event(1, "COMPLETE", ("orders", "stock"), ("orders", "report")))
    run = f"run:{run_id(1)}"
    assert graph() == {
        (subject("orders"), run, "input"),
        (subject("stock"), run, "input"),
        (run, subject("orders"), "wrote"),
        (run, subject("report"), "wrote"),
    }
    assert OpenLineageOutcome.objects.get().problems == []
    drawn = picture_of(subject("report"), "both", 5)
    assert drawn.nodes == 4
    assert len(drawn.drawing.curves) == 4


def test_tables_that_feed_each_other_are_both_upstream_of_what_reads_one() -> None:
    send(run_event(1, "COMPLETE", ("a",), ("b",)), run_event(2, "COMPLETE", ("b",), ("a",)))
    send(run_event(3, "COMPLETE", ("b",), ("c",)))
    model = versions.register_model("m", title="m", owner="o", purpose="p", risk="high", risk_reason="r", by=BY)
    version = versions.register_version(model, digest=f"sha256:{1:064x}", trained_by=["yusuf"], by=BY)
    edges.record_edge(Dataset.objects.get(name=subject("c").partition(":")[2]), version, by=BY)
    assert {each.dataset.subject for each in lineage_closure(version)} == {subject(each) for each in "abc"}


def test_other_circles_stay_refused_even_by_sql() -> None:
    send(run_event(1, "COMPLETE", ("a",), ("b",)))
    a, b = (Dataset.objects.get(name=subject(each).partition(":")[2]) for each in "ab")
    edges.record_edge(b, a, by=BY)
    with pytest.raises(DatabaseError, match="circle"), transaction.atomic():
        LineageEdge.objects.create(source=a.subject, target=b.subject, kind="derived")


def test_the_same_event_again_changes_nothing() -> None:
    event = run_event(1, "COMPLETE", ("a",), ("b",))
    assert openlineage_intake.take_in(text(event), by=BY).new
    assert not openlineage_intake.take_in(text(event), by=BY).new
    assert openlineage.apply_waiting() == 1
    send(event)
    send({**event, "extra": 1})
    assert (OpenLineageEvent.objects.count(), LineageEdge.objects.count(), Run.objects.count()) == (2, 2, 1)


def test_a_kept_event_can_neither_be_changed_nor_removed() -> None:
    send(run_event(1))
    for statement in ("UPDATE %s SET producer = 'x'", "DELETE FROM %s", "TRUNCATE %s CASCADE"):
        with pytest.raises(DatabaseError), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(statement % "registry_openlineage_event")


def confirmed(dataset: Dataset, **given: Any) -> None:
    """An operator states the facts and confirms those that a gate reads."""
    facts = ("classification", "subjects", "regions") if given.get("subjects", True) else ("classification", "regions")
    datasets.state_dataset(dataset, given, confirmed_facts=facts, may_confirm=lambda: None, reason="Seen.", by=BY)


def test_claims_only_make_things_stricter_and_a_confirmed_fact_stays() -> None:
    claimed = table("raw", tags=tags(classification="personal", region="azure:uaenorth", subjects="AE"))
    send(run_event(1, "START", (claimed,)))
    assert not Dataset.objects.exists(), "what a start claims is provisional too"
    send(run_event(1, "COMPLETE", (claimed,)))
    raw = Dataset.objects.get()
    assert (raw.classification, raw.regions, raw.subjects) == ("personal", ["azure:uaenorth"], ["AE"])
    assert not raw.confirmed
    send(run_event(2, "COMPLETE", (table("raw", tags=tags(classification="none", region="aws:eu-central-1")),)))
    raw.refresh_from_db()
    assert (raw.classification, raw.regions) == ("personal", ["azure:uaenorth", "aws:eu-central-1"])
    confirmed(raw, classification="sensitive")
    send(run_event(3, "COMPLETE", (table("raw", tags=tags(classification="special", region="atlantis:west")),)))
    raw.refresh_from_db()
    assert (raw.classification, len(raw.regions)) == ("sensitive", 2)


def test_a_tag_that_means_nothing_leaves_the_fact_unknown_and_says_so() -> None:
    send(run_event(1, "COMPLETE", (table("raw", tags=tags(classification="secret", region="atlantis:west")),)))
    raw = Dataset.objects.get()
    assert (raw.classification, raw.regions) == ("unknown", [])
    problems = OpenLineageOutcome.objects.get().problems
    assert len(problems) == 2
    assert any("secret" in each for each in problems)
    assert any("atlantis" in each for each in problems)


def test_a_columns_class_counts_for_the_whole_but_one_clean_column_does_not() -> None:
    mail = {"tags": [{"key": "classification", "value": "personal", "field": "mail"}]}
    clean = {"tags": [{"key": "classification", "value": "none", "field": "sum"}]}
    send(run_event(1, "COMPLETE", (table("people", tags=mail), table("sums", tags=clean))))
    found = {each.subject: each.classification for each in Dataset.objects.all()}
    assert found == {subject("people"): "personal", subject("sums"): "unknown"}


def test_a_version_is_a_data_set_of_its_own_below_its_table() -> None:
    facts = tags(classification="personal", region="azure:uaenorth", subjects="AE")
    send(run_event(1, "COMPLETE", ("src",), (table("orders", "41", tags=facts),)))
    send(run_event(2, "COMPLETE", (table("orders", "41"),), ("out",)))
    base, version = subject("orders"), subject("orders", "41")
    assert graph() == {
        (subject("src"), f"run:{run_id(1)}", "input"),
        (f"run:{run_id(1)}", base, "wrote"),
        (f"run:{run_id(1)}", version, "wrote"),
        (base, version, "derived"),
        (version, f"run:{run_id(2)}", "input"),
        (f"run:{run_id(2)}", subject("out"), "wrote"),
    }
    stored = Dataset.objects.get(name=version.partition(":")[2])
    assert (stored.digest, stored.classification, stored.regions) == ("41", "personal", ["azure:uaenorth"])


def test_a_version_takes_what_is_known_of_its_table_as_a_claim() -> None:
    send(run_event(1, "COMPLETE", ("orders",)))
    base = Dataset.objects.get()
    confirmed(base, classification="none", subjects=[], regions=["azure:uaenorth"])
    send(run_event(2, "COMPLETE", (table("orders", "7"),)))
    version = Dataset.objects.exclude(pk=base.pk).get()
    assert (version.classification, version.regions, version.confirmed) == ("none", ["azure:uaenorth"], False)


def test_two_names_of_one_data_set_lead_to_each_other() -> None:
    hive = {"namespace": "hive://meta", "name": "sales.orders", "type": "TABLE"}
    send(run_event(1, "COMPLETE", ("src",), (table("s3/orders", symlinks={"identifiers": [hive]}),)))
    send(run_event(2, "COMPLETE", ({"namespace": "hive://meta", "name": "sales.orders"},), ("out",)))
    physical, logical = subject("s3/orders"), f"dataset:{name_of(Identity('hive://meta', 'sales.orders'))}"
    assert {(physical, logical, "same"), (logical, physical, "same")} <= graph()
    drawn = picture_of(subject("out"), "upstream", 9)
    assert subject("src") in {box.subject for box in drawn.drawing.boxes}


def test_the_sources_of_columns_were_read_even_when_inputs_leave_them_out() -> None:
    source = {"namespace": WAREHOUSE, "name": "people", "field": "mail"}
    columns = {"fields": {"contact": {"inputFields": [source]}}}
    explicit = {"inputs": [{"namespace": WAREHOUSE, "name": "rates", "type": "DATASET"}, {"type": "JOB"}]}
    send(run_event(1, "COMPLETE", (), (table("mart", columnLineage=columns, lineage=explicit),)))
    run = f"run:{run_id(1)}"
    assert {(subject("people"), run, "input"), (subject("rates"), run, "input")} <= graph()


def test_events_of_jobs_and_data_sets_register_and_claim_but_nothing_flows() -> None:
    job = run_event(1, reads=("a",), writes=(table("b", tags=tags(classification="personal")),))
    job = {key: value for key, value in job.items() if key not in ("run", "eventType", "schemaURL")}
    static = {key: job[key] for key in ("eventTime", "producer")} | {"dataset": table("c")}
    send(job, static)
    assert graph() == set()
    assert {each.subject for each in Dataset.objects.all()} == {subject(each) for each in "abc"}
    assert Dataset.objects.get(classification="personal").subject == subject("b")


def test_what_cannot_be_applied_is_kept_and_stands_in_nobodys_way() -> None:
    taken = name_of(Identity(WAREHOUSE, "a"))
    OpenLineageName.objects.create(
        key="0" * 64, namespace="x", name="y", dataset_name=taken, digest="sha256:", producer="p"
    )
    send(run_event(1, "COMPLETE", ("a",), ("b",)))
    send(run_event(2, "COMPLETE", ("c",), ("d",)))
    outcomes = dict(OpenLineageOutcome.objects.values_list("event__run_id", "state"))
    assert outcomes == {run_id(1): "failed", run_id(2): "applied"}
    assert len(OpenLineageOutcome.objects.get(state="failed").problems) == 1
    assert len(graph()) == 2


def test_a_database_that_is_away_leaves_the_event_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    from django.db import OperationalError

    def away(*_args: Any, **_named: Any) -> None:
        raise OperationalError("gone")

    openlineage_intake.take_in(text(run_event(1, "COMPLETE", ("a",), ("b",))), by=BY)
    with monkeypatch.context() as broken:
        broken.setattr(edges, "record_edges", away)
        with pytest.raises(OperationalError):
            openlineage.apply_waiting()
    assert OpenLineageOutcome.objects.get().state == "waiting"
    assert (openlineage.apply_waiting(), len(graph())) == (1, 2)


NAMES = ("a", "b", "c")
PARTS = st.lists(st.sampled_from(NAMES), max_size=3, unique=True)


@st.composite
def events(draw: st.DrawFn) -> list[dict[str, Any]]:
    made = []
    for number in range(draw(st.integers(1, 6))):
        reads = [table(name, draw(st.sampled_from(["", "", "1"]))) for name in draw(PARTS)]
        writes = [table(name, draw(st.sampled_from(["", "", "1"]))) for name in draw(PARTS)]
        state = draw(st.sampled_from(["START", "RUNNING", "COMPLETE", "COMPLETE", "FAIL", "OTHER"]))
        at = f"2026-11-20T09:00:{number:02d}Z"
        made.append(run_event(draw(st.integers(1, 3)), state, tuple(reads), tuple(writes), at=at))
    return made


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(events(), st.data())
def test_any_order_of_the_same_events_any_number_of_times_gives_the_same_graph(
    made: list[dict[str, Any]], data: st.DataObject
) -> None:
    found = []
    again = [*made, *data.draw(st.lists(st.sampled_from(made), max_size=3))]
    for order in (made, data.draw(st.permutations(again)), list(reversed(made))):
        together = data.draw(st.booleans())
        with transaction.atomic():
            for event in order:
                openlineage_intake.take_in(text(event), by=BY)
                if not together:
                    openlineage.apply_waiting()
            openlineage.apply_waiting()
            nodes = (
                set(Dataset.objects.values_list("name", flat=True)),
                set(Run.objects.values_list("run_id", flat=True)),
            )
            found.append((graph(), *nodes))
            transaction.set_rollback(True)
    assert found[0] == found[1] == found[2]
    assert found[0][0] == _expected(made)


def _expected(made: list[dict[str, Any]]) -> set[tuple[str, str, str]]:
    """The graph by the rule alone: everything that the runs with a COMPLETE event name, but for failed attempts."""
    complete = {event["run"]["runId"] for event in made if event["eventType"] == "COMPLETE"}
    wanted = set()
    for event in made:
        if event["run"]["runId"] not in complete or event["eventType"] == "FAIL":
            continue
        run = f"run:{event['run']['runId']}"
        for one, writes in itertools.chain(
            ((each, False) for each in event["inputs"]), ((each, True) for each in event["outputs"])
        ):
            version = one["facets"].get("version", {}).get("datasetVersion", "")
            base, exact = subject(one["name"]), subject(one["name"], version)
            if version:
                wanted.add((base, exact, "derived"))
            wanted |= {(run, base, "wrote"), (run, exact, "wrote")} if writes else {(exact, run, "input")}
    return wanted
