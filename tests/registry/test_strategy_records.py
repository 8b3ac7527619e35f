"""What each strategy must record, what is refused by name, and that a record is only ever added to."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
from django.db import DatabaseError, transaction
from django.test import Client
from hypothesis import given
from hypothesis import strategies as st

from audit import queries as audit_queries
from audit.refusals import BadInput, Conflict
from registry import as_of, deployments, describing, environments
from registry.models import Deployment, Strategy, StrategyRecord
from registry.strategy_records import SCHEMAS, problems, required
from tests.registry.catalogue import BY, Catalogue

Api = Callable[[str], Client]
DIGEST, OTHER = Catalogue.digest(2), Catalogue.digest(9)
AT = "2026-11-22T09:00:00Z"
#: A whole record of each strategy.
WHOLE: dict[str, dict[str, Any]] = {
    "all_at_once": {"endpoint": "credit-uae", "config_digest": OTHER},
    "canary": {
        "steps": [
            {"at": AT, "weight": 5, "moved_by": "argo", "guards": [{"metric": "p99 latency", "value": "0.182"}]},
            {"at": "2026-11-22T14:00:00+04:00", "weight": 25, "moved_by": "argo"},
        ]
    },
    "blue_green": {"blue_digest": OTHER, "green_digest": DIGEST, "switched_at": AT, "notes": "Blue stays a day."},
    "shadow": {
        "mirror_percent": 10,
        "responses_logged_in": ["azure:uaenorth"],
        "side_effects_isolated_by": "no credentials of the core system",
    },
    "rolling": {"batch_size": 2, "steps": [{"at": AT, "digest": DIGEST, "replicas": 2}], "surge": 1},
    "champion_challenger": {
        "joined_by": "request id",
        "outcome_window": "90 days",
        "decision_rule": "challenger, if its Brier score is lower by 0.01",
        "rule_fixed_at": AT,
    },
    "ab": {
        "hypothesis": "Fewer manual reviews at the same default rate.",
        "unit": "user",
        "salt": "q4",
        "arms": [{"name": "old", "percent": 50}, {"name": "new", "version": "2", "percent": 50}],
        "sample_size": 4000,
        "stopping_rule": "fixed size",
        "assignment_log": "kafka://assignments",
    },
    "bandit": {
        "algorithm": "Beta-Thompson",
        "parameters": [{"name": "prior", "value": "1,1"}],
        "seed": 7,
        "reward": "repaid within 90 days",
        "arms": [{"name": "a", "floor": 5, "ceiling": 90}, {"name": "b", "floor": 5, "ceiling": 50}],
        "fallback_arm": "a",
        "propensity_log": "s3://propensities",
    },
    "batch": {
        "inputs": [{"dataset": "loans", "digest": "1f2e3d4c"}],
        "run": "nightly-311",
        "schedule": "0 2 * * *",
        "output_location": "s3://scores/2026-11-22",
        "output_region": "aws:me-central-1",
        "rows_read": 120000,
        "rows_written": 119998,
    },
    "streaming": {
        "consumer_group": "scorer",
        "offsets": [{"topic": "applications", "region": "azure:uaenorth", "partition": 0, "offset": 8841}],
        "state_store": "rocksdb in azure:uaenorth",
    },
    "edge": {
        "cohorts": [{"name": "branch tablets", "country": "AE", "devices": 40, "activated": 38, "unreachable": 2}],
        "package_digest": OTHER,
    },
    "serverless": {
        "alias": "live",
        "weights": [{"version": "7", "weight": 90}, {"version": "8", "weight": 10}],
        "concurrency": 20,
        "regions": ["aws:me-central-1"],
    },
    "federated": {
        "sites": [{"name": "Riyadh", "jurisdiction": "SA", "joined_at": AT}],
        "aggregation_site": "Riyadh",
        "round": {"number": 3, "clipping": "1.0", "privacy_budget": "epsilon 2"},
    },
}


def found(strategy: str, record: Any) -> list[tuple[str, str]]:
    return [(each.path, each.why) for each in problems(strategy, record, digest=DIGEST)]


def test_every_strategy_has_a_schema_and_an_example() -> None:
    assert set(SCHEMAS) == set(Strategy.values) == set(WHOLE)


@pytest.mark.parametrize("strategy", sorted(WHOLE))
def test_a_whole_record_is_accepted_and_each_missing_field_is_named(strategy: str) -> None:
    assert found(strategy, WHOLE[strategy]) == []
    assert required(strategy)
    for name in required(strategy):
        lacking = {key: value for key, value in WHOLE[strategy].items() if key != name}
        assert (name, "missing") in found(strategy, lacking)
        assert (name, "missing") not in found(strategy, {**WHOLE[strategy], name: None})
        assert found(strategy, {**WHOLE[strategy], name: None}) != []
    assert {path for path, why in found(strategy, {}) if why == "missing"} == set(required(strategy))
    assert found(strategy, {**WHOLE[strategy], "wieght": 5}) == [("wieght", "unknown")]


def changed(strategy: str, change: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    record = copy.deepcopy(WHOLE[strategy])
    change(record)
    return record


@pytest.mark.parametrize(
    ("strategy", "change", "expected"),
    [
        ("canary", lambda r: r.update(steps=[]), ("steps", "list")),
        ("canary", lambda r: r["steps"][0].update(weight=101), ("steps[0].weight", "percent")),
        ("canary", lambda r: r["steps"][0].update(weight=0.5), ("steps[0].weight", "percent")),
        ("canary", lambda r: r["steps"][0].update(weight=True), ("steps[0].weight", "percent")),
        ("canary", lambda r: r["steps"][1].pop("at"), ("steps[1].at", "missing")),
        ("canary", lambda r: r["steps"][0].update(at="2026-11-22T09:00:00"), ("steps[0].at", "moment")),
        ("canary", lambda r: r["steps"][0].update(at="yesterday"), ("steps[0].at", "moment")),
        ("canary", lambda r: r["steps"][0].update(at="2026-11-23T09:00:00Z"), ("steps", "order")),
        ("canary", lambda r: r.update(steps=["5 %"]), ("steps[0]", "object")),
        ("blue_green", lambda r: r.update(green_digest=OTHER), ("green_digest", "other_digest")),
        ("blue_green", lambda r: r.update(blue_digest="sha256:abc"), ("blue_digest", "digest")),
        ("shadow", lambda r: r.update(responses_logged_in=["uae"]), ("responses_logged_in[0]", "region")),
        ("ab", lambda r: r["arms"][0].update(percent=40), ("arms", "sum")),
        ("ab", lambda r: r.update(unit="person"), ("unit", "not_one")),
        ("ab", lambda r: r.update(hypothesis=" "), ("hypothesis", "text")),
        ("bandit", lambda r: r.update(fallback_arm="c"), ("fallback_arm", "no_arm")),
        ("bandit", lambda r: r["arms"][0].update(floor=95), ("arms", "bounds")),
        ("batch", lambda r: r.update(rows_read=-1), ("rows_read", "whole")),
        ("edge", lambda r: r["cohorts"][0].update(activated=39), ("cohorts[0]", "counts")),
        ("edge", lambda r: r["cohorts"][0].update(country="Emirates"), ("cohorts[0].country", "jurisdiction")),
        ("serverless", lambda r: r["weights"].pop(), ("weights", "sum")),
        ("federated", lambda r: r["round"].pop("clipping"), ("round.clipping", "missing")),
        ("federated", lambda r: r.update(round=[]), ("round", "object")),
    ],
)
def test_what_is_wrong_is_named_by_its_path(
    strategy: str, change: Callable[[dict[str, Any]], object], expected: tuple[str, str]
) -> None:
    assert expected in found(strategy, changed(strategy, change))


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(st.sampled_from(sorted(WHOLE)), st.data())
def test_no_junk_is_taken_for_a_whole_record_and_none_breaks_the_check(strategy: str, data: st.DataObject) -> None:
    assert problems(strategy, data.draw(anything), digest=DIGEST)
    name = data.draw(st.sampled_from(required(strategy)))
    problems(strategy, {**WHOLE[strategy], name: data.draw(anything)}, digest=DIGEST)


# ── kept in the registry ─────────────────────────────────────────────────────────────────────────────────────────────
@pytest.fixture
def canary(catalogue: Catalogue) -> Deployment:
    """Version 2 takes 5 % beside version 1."""
    return deployments.record_deploy(catalogue.uae, catalogue.second, "canary", weight=5, by=BY)


@pytest.mark.django_db
def test_a_record_is_added_to_and_never_changed(canary: Deployment) -> None:
    first = describing.describe(canary, WHOLE["canary"], by=BY)
    with pytest.raises(Conflict, match="exactly this"):
        describing.describe(canary, WHOLE["canary"], by=BY)
    more = changed("canary", lambda r: r["steps"].append({"at": "2026-11-23T09:00:00Z", "weight": 50, "moved_by": "x"}))
    describing.describe(canary, more, by=BY)
    assert [len(row.record["steps"]) for row in canary.records.all()] == [3, 2]
    entry = audit_queries.history(canary.subject)[0]
    assert (entry.event, entry.facts["fields"]) == ("deployment.described", ["steps"])
    assert entry.facts["record"] == canary.records.all()[0].digest
    with pytest.raises(DatabaseError, match="never change"), transaction.atomic():
        StrategyRecord.objects.filter(pk=first.pk).update(record={})


@pytest.mark.django_db
def test_what_is_missing_is_said_by_name_and_nothing_is_kept(canary: Deployment) -> None:
    with pytest.raises(BadInput, match="lacks: steps") as refused:
        describing.describe(canary, {}, by=BY)
    assert refused.value.fields == {"record.steps": "This is missing."}
    huge = {"steps": [{"at": AT, "weight": 5, "moved_by": "x" * 1900}] * 200}
    with pytest.raises(BadInput, match="bytes"):
        describing.describe(canary, huge, by=BY)
    assert not StrategyRecord.objects.exists()


@pytest.mark.django_db
def test_programs_add_records_and_read_one_deployment(canary: Deployment, api_for: Api) -> None:
    ci, at = api_for("ci"), f"/api/v1/deployments/{canary.pk}"
    answer = ci.get(at).json()
    assert (answer["strategy"], answer["records"], answer["record_requires"]) == ("canary", [], ["steps"])
    refused = ci.post(f"{at}/records", {"record": {"steps": []}}, content_type="application/json")
    assert (refused.status_code, refused.json()["code"]) == (400, "deployment.record")
    assert ci.post(f"{at}/records", {"record": WHOLE["canary"]}, content_type="application/json").status_code == 201
    (kept,) = ci.get(at).json()["records"]
    assert kept["record"] == WHOLE["canary"]
    assert ci.get("/api/v1/deployments/999").status_code == 404
    noor = api_for("noor").post(f"{at}/records", {"record": WHOLE["canary"]}, content_type="application/json")
    assert noor.status_code == 403


@pytest.mark.django_db
def test_the_page_of_a_deployment_shows_its_records(canary: Deployment, client_for: Api) -> None:
    noor = client_for("noor")
    at = f"/deployments/{canary.pk}"
    before = noor.get(at).content.decode()
    assert "credit-scoring/2 serves in prod-uae." in before
    assert "The strategy Canary records: steps." in before
    describing.describe(canary, WHOLE["canary"], by=BY)
    assert "p99 latency" in noor.get(at).content.decode()
    for page in ("/deployments", "/environments/prod-uae"):
        assert f'href="{at}"' in noor.get(page).content.decode()
    assert noor.get("/deployments/999").status_code == 404


# ── drills ───────────────────────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.django_db
def test_a_drill_is_recorded_and_changes_nothing_that_serves(
    catalogue: Catalogue, api_for: Api, client_for: Api
) -> None:
    deployments.record_deploy(catalogue.uae, catalogue.second, by=BY)
    before = deployments.serving(catalogue.uae)
    drill = {"environment": "prod-uae", "model": "credit-scoring", "version": 1, "seconds": 41, "worked": True}
    answer = api_for("ci").post(
        "/api/v1/rollbacks/drills", {**drill, "reason": "Quarterly drill."}, content_type="application/json"
    )
    assert (answer.status_code, answer.json()["kind"]) == (201, "drill"), answer.content
    assert deployments.serving(catalogue.uae) == before
    row = Deployment.objects.get(kind="drill")
    assert (row.since, row.weight) == (row.until, 0)
    assert deployments.serving(catalogue.uae, at=row.since) == before
    entry = audit_queries.history(row.subject)[0]
    assert (entry.event, entry.facts["seconds"], entry.facts["worked"]) == ("rollback.drilled", 41, True)
    assert "rollback.drilled" not in {event.value for event in as_of.SERVING}
    told = client_for("noor").get(f"/deployments/{row.pk}").content.decode()
    assert "was practised; nothing that serves changed" in told


@pytest.mark.django_db
def test_a_drill_needs_a_way_back_and_a_reason(catalogue: Catalogue) -> None:
    with pytest.raises(Conflict, match="never served"):
        describing.record_drill(catalogue.uae, catalogue.second, reason="x", seconds=1, worked=True, by=BY)
    with pytest.raises(BadInput):
        describing.record_drill(catalogue.uae, catalogue.first, reason=" ", seconds=1, worked=True, by=BY)
    with pytest.raises(BadInput, match="seconds"):
        describing.record_drill(catalogue.uae, catalogue.first, reason="x", seconds=-1, worked=True, by=BY)
    elsewhere = environments.register_environment(
        "empty",
        name="Empty",
        tier="staging",
        regions_served=["azure:uaenorth"],
        perimeter="AE-federal",
        log_sinks=["azure:uaenorth"],
        backups=[],
        support_access=[],
        explanation_workers=[],
        by=BY,
    )
    with pytest.raises(Conflict, match="Nothing of this model serves"):
        describing.record_drill(elsewhere, catalogue.first, reason="x", seconds=1, worked=True, by=BY)
