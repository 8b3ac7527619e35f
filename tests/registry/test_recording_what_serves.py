"""Deployments and rollbacks are recorded, and rewritten by nobody."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import DatabaseError, connection, transaction
from django.test import Client
from django.utils import timezone

from audit.actors import Actor
from audit.refusals import BadInput, Conflict, NotKnown, Refusal
from registry import aliases, datasets, deployments, environments, queries, regions, versions
from registry.lineage import edges
from registry.models import Deployment, Environment, Model, ModelVersion

pytestmark = pytest.mark.django_db
BY = Actor.system("tests")


def digest(number: int) -> str:
    return f"sha256:{number:064x}"


@pytest.fixture
def model() -> Model:
    return versions.register_model(
        "credit-scoring",
        title="Credit scoring",
        owner="risk",
        purpose="Scores",
        risk="high",
        risk_reason="Credit",
        by=BY,
    )


@pytest.fixture
def first(model: Model) -> ModelVersion:
    return versions.register_version(model, digest=digest(1), trained_by=["yusuf"], metrics={"auc": "0.871"}, by=BY)


@pytest.fixture
def second(model: Model, first: ModelVersion) -> ModelVersion:
    return versions.register_version(model, digest=digest(2), trained_by=["yusuf"], by=BY)


@pytest.fixture
def uae() -> Environment:
    return environments.register_environment(
        "prod-uae",
        name="UAE",
        tier="prod",
        regions_served=["azure:uaenorth"],
        perimeter="AE-federal",
        log_sinks=["azure:uaenorth"],
        backups=[],
        support_access=[],
        explanation_workers=[],
        by=BY,
    )


def test_what_served_before_a_switch_can_still_be_compared_with(
    uae: Environment, first: ModelVersion, second: ModelVersion
) -> None:
    start = timezone.now() - timedelta(hours=2)
    switch = start + timedelta(hours=1)
    deployments.record_deploy(uae, first, at=start, by=BY)
    deployments.record_deploy(uae, second, at=switch, by=BY)
    before = deployments.serving(uae, at=switch - timedelta(microseconds=1))
    assert [each.version for each in before] == [first]
    assert [each.version for each in deployments.serving(uae, at=switch)] == [second]
    assert deployments.serving(uae, at=start - timedelta(seconds=1)) == ()


def test_a_canary_takes_its_share_from_the_version_that_serves_the_rest(
    uae: Environment, first: ModelVersion, second: ModelVersion
) -> None:
    with pytest.raises(Conflict):
        deployments.record_deploy(uae, second, "canary", weight=25, by=BY)
    deployments.record_deploy(uae, first, by=BY)
    deployments.record_deploy(uae, second, "canary", weight=25, by=BY)
    assert [(each.version, each.share) for each in deployments.serving(uae)] == [(first, 75), (second, 25)]
    deployments.record_deploy(uae, second, by=BY)
    assert [(each.version, each.share) for each in deployments.serving(uae)] == [(second, 100)]


def test_a_rollback_names_its_reason_and_what_it_undoes(
    uae: Environment, first: ModelVersion, second: ModelVersion
) -> None:
    deployments.record_deploy(uae, first, by=BY)
    with pytest.raises(Conflict):
        deployments.record_rollback(uae, second, reason="never served here", by=BY)
    undone = deployments.record_deploy(uae, second, by=BY)
    with pytest.raises(BadInput):
        deployments.record_rollback(uae, first, reason="  ", by=BY)
    back = deployments.record_rollback(uae, first, reason="Approvals doubled", incident="INC-7", by=BY)
    assert (back.undoes, back.digest) == (undone, first.digest)
    assert [each.version for each in deployments.serving(uae)] == [first]


@pytest.mark.parametrize("strategy", ["", "yolo", "CANARY"])
def test_an_unknown_strategy_is_refused(strategy: str, uae: Environment, first: ModelVersion) -> None:
    with pytest.raises(BadInput):
        deployments.record_deploy(uae, first, strategy, by=BY)


def test_a_deployment_in_the_future_is_refused(uae: Environment, first: ModelVersion) -> None:
    with pytest.raises(BadInput):
        deployments.record_deploy(uae, first, at=timezone.now() + timedelta(hours=1), by=BY)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE registry_modelversion SET digest = 'sha256:' || repeat('0', 64)",
        "UPDATE registry_modelversion SET number = 9",
        "UPDATE registry_deployment SET strategy = 'shadow'",
        "UPDATE registry_deployment SET until = now(), reason = 'x'",
    ],
)
def test_the_database_refuses_to_rewrite_versions_and_deployments(
    statement: str, uae: Environment, first: ModelVersion
) -> None:
    deployments.record_deploy(uae, first, by=BY)
    with pytest.raises(DatabaseError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)
    assert Deployment.objects.get().strategy == "all_at_once"


def test_a_digest_that_disagrees_with_name_and_number_is_refused(first: ModelVersion) -> None:
    assert versions.resolve("credit-scoring", "1", digest(1)) == first
    assert versions.resolve("credit-scoring", digest=digest(1)) == first
    with pytest.raises(Conflict, match="credit-scoring/1"):
        versions.resolve("credit-scoring", 1, digest(5))
    with pytest.raises(Conflict):
        versions.register_version(first.model, digest=digest(5), trained_by=["yusuf"], number=1, by=BY)


@pytest.mark.parametrize(
    ("name", "number", "sent", "expected"),
    [
        ("nobody", 1, None, NotKnown),
        ("credit-scoring", 99, None, NotKnown),
        ("credit-scoring", "latest", None, BadInput),
        ("credit-scoring", "-1", None, BadInput),
        ("credit-scoring", None, None, BadInput),
        ("credit-scoring", None, digest(7), NotKnown),
        ("credit-scoring", 1, "md5:1", BadInput),
    ],
)
def test_an_unknown_version_is_a_sentence(
    name: str, number: object, sent: str | None, expected: type[Refusal], first: ModelVersion
) -> None:
    with pytest.raises(expected):
        versions.resolve(name, number, sent)  # type: ignore[arg-type]


def test_a_version_that_nobody_trained_is_refused(model: Model) -> None:
    with pytest.raises(BadInput):
        versions.register_version(model, digest=digest(1), trained_by=[], by=BY)


@pytest.mark.parametrize("value", ["NaN", "inf", True, "good"])
def test_a_metric_that_is_no_finite_number_is_refused(value: object, model: Model) -> None:
    with pytest.raises(BadInput):
        versions.register_version(model, digest=digest(1), trained_by=["yusuf"], metrics={"auc": value}, by=BY)


def test_an_unknown_region_is_refused_with_what_was_probably_meant() -> None:
    with pytest.raises(BadInput, match="aws:me-central-1"):
        regions.lookup("me-central-1")
    assert regions.lookup("aws:me-central-1").country == "AE"
    assert regions.lookup("alibaba:me-central-1").country == "SA"
    assert not regions.lookup("aws:me-west-1").satisfies
    with pytest.raises(NotKnown):
        environments.find_environment("prod-mars")


@pytest.mark.parametrize(
    "url", ["ftp://localhost/x", "http://10.0.0.1/x", "http://u:p@localhost/x", "localhost", "http://["]
)
def test_an_endpoint_may_only_name_an_allowed_host(url: str) -> None:
    with pytest.raises(BadInput):
        environments.allowed_address(url)


def test_unknown_facts_of_a_data_set_reach_every_flow(uae: Environment, first: ModelVersion) -> None:
    assert queries.flows(first, uae)[0].unknown == ("lineage",)
    raw = datasets.register_dataset("raw", classification="unknown", subjects=[], regions_held=[], by=BY)
    clean = datasets.register_dataset(
        "clean", classification="personal", subjects=["AE"], regions_held=["azure:uaenorth"], by=BY
    )
    edges.record_edge(raw, clean, by=BY)
    edges.record_edge(clean, first, by=BY)
    by_place = {(flow.kind, flow.subject): flow for flow in queries.flows(first, uae)}
    assert by_place["dataset", "dataset:raw"].path == (first.subject, clean.subject, raw.subject)
    assert by_place["dataset", "dataset:raw"].region == ""
    assert set(by_place["dataset", "dataset:raw"].unknown) == {"classification", "regions", "subjects"}
    serving = by_place["serving", "environment:prod-uae"]
    assert serving.personal
    assert serving.sensitive
    assert "classification" in serving.unknown
    assert queries.versions_from_dataset(raw) == (first,)


def test_lineage_never_closes_a_circle_not_even_by_sql() -> None:
    one, two = (
        datasets.register_dataset(name, classification="none", subjects=[], regions_held=["azure:uaenorth"], by=BY)
        for name in ("one", "two")
    )
    edges.record_edge(one, two, by=BY)
    with pytest.raises(Conflict, match="dataset:one"):
        edges.record_edge(two, one, by=BY)
    statement = (
        "INSERT INTO registry_lineageedge (source, target, kind, created)"
        " VALUES ('dataset:two', 'dataset:one', 'derived', now())"
    )
    with pytest.raises(DatabaseError, match="circle"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)


@pytest.mark.parametrize("code", ["Saudi", "sa", "", "XX"])
def test_a_jurisdiction_in_free_text_is_refused(code: str) -> None:
    with pytest.raises(BadInput):
        datasets.register_dataset("loans", classification="personal", subjects=[code], regions_held=[], by=BY)


def test_a_moved_alias_says_where_it_was(model: Model, first: ModelVersion, second: ModelVersion) -> None:
    aliases.move(model, "champion", first, by=BY)
    assert aliases.move(model, "champion", second, by=BY).version == second
    assert model.aliases.count() == 1


#: Address and the most queries that it may ask, session and shell included.
PAGES = [
    ("/models", 9),
    ("/models/credit-scoring", 12),
    ("/models/credit-scoring/1", 19),
    ("/datasets", 6),
    ("/datasets/loans", 15),
    ("/environments", 8),
    ("/environments/prod-uae", 10),
    ("/deployments", 8),
    ("/lineage", 6),
    ("/lineage?focus=version:credit-scoring/1&depth=2", 10),
]


@pytest.mark.parametrize(("address", "budget"), PAGES)
def test_every_page_answers_within_its_query_budget(
    address: str,
    budget: int,
    uae: Environment,
    first: ModelVersion,
    client_for: object,
    django_assert_max_num_queries: object,
) -> None:
    loans = datasets.register_dataset(
        "loans", classification="personal", subjects=["AE"], regions_held=["azure:uaenorth"], by=BY
    )
    edges.record_edge(loans, first, by=BY)
    deployments.record_deploy(uae, first, by=BY)
    client: Client = client_for("omar")  # type: ignore[operator]
    with django_assert_max_num_queries(budget):  # type: ignore[operator]
        answer = client.get(address)
    assert answer.status_code == 200
    assert b'class="lede"' in answer.content


@pytest.mark.parametrize(
    ("address", "status"),
    [
        ("/models/nothing", 404),
        ("/models/credit-scoring/99", 404),
        ("/datasets/nothing", 404),
        ("/environments/nothing", 404),
        ("/deployments?as_of=yesterday", 400),
        ("/lineage?focus=nonsense", 400),
        ("/lineage?focus=version:credit-scoring/1&depth=x", 400),
    ],
)
def test_a_page_of_something_unknown_says_so(
    address: str, status: int, first: ModelVersion, client_for: object
) -> None:
    answer = client_for("omar").get(address)  # type: ignore[operator]
    assert answer.status_code == status


def test_the_api_registers_a_version_by_digest_and_refuses_another_for_the_same_number(
    first: ModelVersion, api_for: object
) -> None:
    ci: Client = api_for("ci")  # type: ignore[operator]
    address = "/api/v1/models/credit-scoring/versions"
    good = {"digest": digest(3), "number": 3, "trained_by": ["yusuf"]}
    assert ci.post(address, good, content_type="application/json").status_code == 201
    assert ci.post(address, {**good, "digest": digest(4)}, content_type="application/json").status_code == 409
    assert ci.post(address, {**good, "digest": "latest"}, content_type="application/json").status_code == 400
    assert (
        ci.post(address, {**good, "number": 4, "run_id": "nobody"}, content_type="application/json").status_code == 400
    )
    assert ci.post(address, {"digest": digest(5)}, content_type="application/json").status_code == 400
    assert ci.post(address, "{", content_type="application/json").status_code == 400
    assert ci.post("/api/v1/models/nobody/versions", good, content_type="application/json").status_code == 404
    assert first.model.versions.count() == 2


@pytest.mark.parametrize(
    ("address", "status"),
    [
        ("/api/v1/environments/prod-uae/serving", 200),
        ("/api/v1/environments/prod-uae/serving?as_of=soon", 400),
        ("/api/v1/environments/prod-mars/serving", 404),
        ("/api/v1/models", 200),
        ("/api/v1/datasets", 200),
        ("/api/v1/lineage?focus=version:credit-scoring/1", 200),
        ("/api/v1/lineage?focus=version:credit-scoring/1&depth=-1", 400),
    ],
)
def test_the_api_reads_the_registry_or_says_what_is_wrong(
    address: str, status: int, uae: Environment, first: ModelVersion, api_for: object
) -> None:
    assert api_for("ci").get(address).status_code == status  # type: ignore[operator]
