"""A version's bill of material is valid CycloneDX, the same bytes every time, and invents nothing."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from django.test import Client
from django.utils import translation

from audit.refusals import BadInput
from registry import bom, cards, datasets, versions
from registry.lineage import edges
from tests.registry.catalogue import BY, Catalogue

pytestmark = pytest.mark.django_db
Api = Callable[[str], Client]
HASH = "a" * 64
SCHEMA = {
    "inputs": [{"name": "age", "type": "double"}, {"name": "income", "type": "double", "required": False}],
    "outputs": [{"type": "tensor", "tensor-spec": {"dtype": "float64", "shape": [-1]}}],
}


def fetched(api_for: Api, number: int) -> tuple[bytes, dict[str, Any]]:
    """The bytes and what they say, once the schema of CycloneDX has nothing against them."""
    answer = api_for("ci").get(f"/api/v1/models/credit-scoring/versions/{number}/bom")
    assert answer.status_code == 200, answer.content
    assert answer["content-type"] == "application/vnd.cyclonedx+json; version=1.6"
    text = answer.content.decode()
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    return answer.content, json.loads(text)


@pytest.fixture
def whole(catalogue: Catalogue) -> int:
    """A version with everything: run with parameters, signature, metrics, dependencies, two data sets."""
    run = edges.register_run(
        "run-500", tracking_server="", contributors=["yusuf"], params={"depth": "4", "eta": "0.1"}, by=BY
    )
    digested = datasets.register_dataset(
        "cards", classification="none", subjects=[], regions_held=[], digest=Catalogue.digest(5), by=BY
    )
    for data in (digested, catalogue.loans):
        edges.record_edge(data, run, by=BY)
    version = versions.register_version(
        catalogue.first.model,
        digest=Catalogue.digest(7),
        trained_by=["yusuf"],
        run_id="run-500",
        metrics={"auc": "0.871", "brier": "0.1"},
        schema=SCHEMA,
        dependencies=[
            "Scikit_Learn==1.9.0",
            f"numpy>=2,<3 --hash=sha256:{HASH}",
            "pandas[excel] ; python_version < '4'",
        ],
        by=BY,
    )
    edges.record_edge(run, version, by=BY)
    versions.change_model(version.model, intended_use="Consumer loans.", limits="Not for firms.", by=BY)
    return version.number


def test_it_holds_what_the_registry_knows(whole: int, api_for: Api) -> None:
    _bytes, told = fetched(api_for, whole)
    model = told["metadata"]["component"]
    assert (model["type"], model["name"], model["version"]) == ("machine-learning-model", "credit-scoring", str(whole))
    assert model["hashes"] == [{"alg": "SHA-256", "content": f"{7:064x}"}]
    card = model["modelCard"]
    assert card["modelParameters"]["datasets"] == [{"ref": "dataset:cards"}, {"ref": "dataset:loans"}]
    assert card["modelParameters"]["inputs"] == [{"format": "age: double"}, {"format": "income: double, optional"}]
    assert card["modelParameters"]["outputs"] == [{"format": "#1: tensor float64 [-1]"}]
    assert card["quantitativeAnalysis"]["performanceMetrics"][0] == {"type": "auc", "value": "0.871"}
    assert card["considerations"] == {"useCases": ["Consumer loans."], "technicalLimitations": ["Not for firms."]}
    assert {"name": "countersign:parameter:depth", "value": "4"} in card["properties"]
    by_name = {each["name"]: each for each in told["components"]}
    assert by_name["scikit-learn"]["purl"] == "pkg:pypi/scikit-learn@1.9.0"
    assert by_name["numpy"]["hashes"] == [{"alg": "SHA-256", "content": HASH}]
    assert not {"version", "purl"} & by_name["numpy"].keys()  # a range is no version
    assert by_name["loans"]["data"][0]["classification"] == "personal"
    assert {"name": "countersign:lawful-basis", "value": "unknown"} in by_name["loans"]["properties"]
    assert by_name["cards"]["hashes"] == [{"alg": "SHA-256", "content": f"{5:064x}"}]
    assert set(told["dependencies"][0]["dependsOn"]) == {each["bom-ref"] for each in told["components"]}
    assert told["compositions"][0]["aggregate"] == "incomplete"


def test_what_nobody_said_is_unknown_and_not_empty(catalogue: Catalogue, api_for: Api) -> None:
    _bytes, told = fetched(api_for, 2)
    assert told["compositions"] == [{"aggregate": "unknown", "dependencies": ["version:credit-scoring/2"]}]
    assert {"name": "countersign:dependencies", "value": "unknown"} in told["properties"]
    versions.register_version(catalogue.first.model, digest=Catalogue.digest(3), trained_by=["yusuf"], by=BY)
    _bytes, told = fetched(api_for, 3)
    assert {"name": "countersign:data-sets", "value": "unknown"} in told["properties"]
    assert told["components"] == []


def test_the_same_facts_give_the_same_bytes_and_others_another_number(whole: int, api_for: Api) -> None:
    once, told = fetched(api_for, whole)
    with translation.override("ar"):
        again, _told = fetched(api_for, whole)
    assert once == again
    version = versions.resolve("credit-scoring", whole)
    assert bom.bom(cards.card_of(version.model, version), version) == once
    versions.change_model(version.model, limits="Not for firms, nor for farms.", by=BY)
    other, changed = fetched(api_for, whole)
    assert other != once
    assert changed["serialNumber"] != told["serialNumber"]


def test_no_person_is_in_it(whole: int, catalogue: Catalogue, api_for: Api) -> None:
    versions.change_model(catalogue.first.model, owner="Yusuf Rahman", contacts=["Yusuf Rahman"], by=BY)
    once, _told = fetched(api_for, whole)
    assert b"usuf" not in once


def test_the_file_is_offered_on_the_page(catalogue: Catalogue, client_for: Callable[[str], Client]) -> None:
    client = client_for("noor")
    assert "/models/credit-scoring/2/bom.cdx.json" in client.get("/models/credit-scoring/2").content.decode()
    answer = client.get("/models/credit-scoring/2/bom.cdx.json")
    assert 'filename="credit-scoring-2.cdx.json"' in answer["content-disposition"]
    assert client.get("/models/credit-scoring/99/bom.cdx.json").status_code == 404


def test_a_refusal_is_a_problem_although_the_document_is_not_plain_json(api_for: Api, catalogue: Catalogue) -> None:
    client = api_for("ci")
    address = "/api/v1/models/credit-scoring/versions/2/bom"
    assert client.get(address, headers={"Accept": "application/vnd.cyclonedx+json"}).status_code == 200
    answer = client.get(address.replace("/2/", "/99/"), headers={"Accept": "application/vnd.cyclonedx+json"})
    assert answer.status_code == 404
    assert answer["content-type"].startswith("application/problem+json")


@pytest.mark.parametrize(
    "line",
    [
        "",
        "-r other.txt",
        "./local",
        "git+ssh://x/y",
        "name @ file:///x",
        "a b",
        "==1.0",
        "a==1.0,",
        "a\x00b",
        "x" * 5000,
    ],
)
def test_what_is_no_requirement_is_refused(catalogue: Catalogue, api_for: Api, line: str) -> None:
    body = {"digest": Catalogue.digest(8), "trained_by": ["yusuf"], "dependencies": [line]}
    answer = api_for("ci").post("/api/v1/models/credit-scoring/versions", body, content_type="application/json")
    assert answer.status_code == 400
    assert not versions.find_model("credit-scoring").versions.filter(digest=Catalogue.digest(8)).exists()


def test_a_requirement_that_contradicts_another_is_refused(catalogue: Catalogue) -> None:
    with pytest.raises(BadInput, match="listed twice"):
        versions.register_version(
            catalogue.first.model,
            digest=Catalogue.digest(8),
            trained_by=["yusuf"],
            dependencies=["numpy==1.0", "NumPy==2.0"],
            by=BY,
        )
