"""Freezing facts: missing is refused, unknown is read in the strictest way, equal facts have one digest."""

from __future__ import annotations

import copy
from datetime import datetime
from typing import Any

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from governance.policies import DataSetFact, FlowFact, MissingFact, PlaceFact, Region, flows_of, freeze, thaw
from governance.policies.facts import canonical
from tests.governance.policies.cases import NOW, VERSION, facts, flow, safeguard


def only(one: FlowFact) -> dict[str, Any]:
    return dict(facts(one).document["flows"][0])


def test_an_unknown_classification_reads_as_sensitive_personal_data() -> None:
    for word in ("unknown", "", "internal", "NONE"):
        found = only(flow(classification=word))
        assert (found["classification"], found["personal"], found["sensitive"]) == ("unknown", True, True)


def test_an_unknown_or_unconfirmed_region_is_nowhere() -> None:
    assert only(flow(region=""))["region"] == "nowhere"
    found = only(flow(confirmed=False))
    assert (found["region"], found["claimed_region"], found["country"]) == ("nowhere", "gcp:me-central2", "")


def test_personal_data_of_nobody_in_particular_are_data_of_unknown_people() -> None:
    assert only(flow(data_subjects=[]))["data_subjects"] == ["unknown"]
    assert only(flow(data_subjects=[], classification="none"))["data_subjects"] == []


def test_an_unknown_tier_reads_as_production_and_an_unknown_risk_as_high() -> None:
    found = facts(tier="sandbox", risk="").document
    assert found["environment"]["tier"] == "prod"
    assert found["model"]["risk"] == "high"


@pytest.mark.parametrize("change", [{"subject": ""}, {"kind": ""}, {"kind": "cache"}, {"data_subjects": [""]}])
def test_a_flow_without_a_required_fact_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(MissingFact):
        facts(flow(**change))


def test_a_missing_fact_names_the_field_and_the_subject() -> None:
    with pytest.raises(MissingFact) as caught:
        facts(safeguards=[safeguard(status="")])
    assert (caught.value.field, caught.value.subject) == ("safeguard.status", "TS-1")


def test_two_different_facts_about_one_thing_are_refused() -> None:
    with pytest.raises(MissingFact, match="Two different facts"):
        facts(safeguards=[safeguard(), safeguard(type="BCR")])


def test_a_time_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="without a zone"):
        facts(now=datetime(2026, 1, 1))


def test_the_order_in_which_facts_are_collected_does_not_matter() -> None:
    a, b = flow(), flow(subject="dataset:b")
    one = facts(a, b, a, safeguards=[safeguard(), safeguard(id="TS-0")])
    two = facts(b, a, safeguards=[safeguard(id="TS-0"), safeguard()])
    assert one.digest == two.digest


def test_any_changed_fact_is_another_digest() -> None:
    digests = {
        facts().digest,
        facts(flow(region="oci:me-jeddah-1")).digest,
        facts(safeguards=[safeguard()]).digest,
        facts(now=NOW.replace(second=1)).digest,
        facts(trained_by=["user:x"]).digest,
    }
    assert len(digests) == 5


def test_stored_facts_thaw_to_the_same_facts() -> None:
    frozen = facts(safeguards=[safeguard()])
    assert thaw(copy.deepcopy(dict(frozen.document))).digest == frozen.digest


def _changed(*path: str | int, value: Any) -> dict[str, Any]:
    document = copy.deepcopy(dict(facts(safeguards=[safeguard()]).document))
    place: Any = document
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    return document


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("format",), "countersign-facts/4"),
        (("extra",), 1),
        (("now",), "yesterday"),
        (("now",), ""),
        (("flows",), {}),
        (("flows", 0), []),
        (("flows", 0, "personal"), "false"),
        (("flows", 0, "personal"), 0),
        (("flows", 0, "regoin"), "x"),
        (("flows", 0, "data_subjects"), "SA"),
        (("safeguards", 0, "expires_at"), "2027-01-01"),
        (("safeguards", 0, "expires_at"), None),
        (("promotion", "weight"), 1.5),
        (("promotion", "weight"), True),
        (("version", "subject"), ""),
    ],
)
def test_stored_facts_that_were_changed_are_refused(path: tuple[str | int, ...], value: Any) -> None:
    with pytest.raises(MissingFact):
        thaw(_changed(*path, value=value))


_texts = st.text(max_size=12)


@given(
    st.recursive(
        st.one_of(_texts, st.booleans(), st.integers(-(2**53) + 1, 2**53 - 1)),
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.dictionaries(st.text("abcdefghijklmnopqrstuvwxyz_", min_size=1, max_size=5), inner, max_size=4)
        ),
        max_leaves=12,
    )
)
def test_the_canonical_form_is_that_of_rfc_8785(value: Any) -> None:
    assert canonical({"value": value}) == rfc8785.dumps({"value": value})


def test_text_that_has_no_utf8_form_is_refused() -> None:
    with pytest.raises(MissingFact):
        facts(flow(subject="dataset:\ud800"))


GERMAN = Region("aws:eu-central-1", "DE", confirmed=True)
SAUDI = Region("gcp:me-central2", "SA", confirmed=True)


def test_flows_follow_the_whole_lineage_with_a_path_to_each_data_set() -> None:
    flows = flows_of(
        version=VERSION,
        parents={VERSION: ["run:7"], "run:7": ["dataset:clean"], "dataset:clean": ["dataset:raw", "dataset:codes"]},
        data_sets={
            "dataset:clean": DataSetFact("dataset:clean", "personal", [SAUDI], ["SA"]),
            "dataset:raw": DataSetFact("dataset:raw", "sensitive", [SAUDI, GERMAN], ["AE"]),
            "dataset:codes": DataSetFact("dataset:codes", "none", [SAUDI]),
        },
        places=[PlaceFact("serving", "environment:prod", SAUDI), PlaceFact("inference_log", "environment:prod", SAUDI)],
    )
    assert len([one for one in flows if one.subject == "dataset:raw"]) == 2
    raw = next(one for one in flows if one.subject == "dataset:raw")
    assert raw.path == (VERSION, "run:7", "dataset:clean", "dataset:raw")
    served = [one for one in flows if one.kind != "dataset"]
    assert {(one.classification, tuple(one.data_subjects)) for one in served} == {("sensitive", ("AE", "SA"))}


def test_a_loop_in_the_lineage_ends() -> None:
    flows = flows_of(
        version=VERSION, parents={VERSION: ["dataset:a"], "dataset:a": ["dataset:a", VERSION]}, data_sets={}, places=[]
    )
    assert [one.subject for one in flows] == ["dataset:a"]


def test_a_data_set_that_the_registry_does_not_know_is_an_unknown_one() -> None:
    (one,) = flows_of(version=VERSION, parents={VERSION: ["dataset:ghost"]}, data_sets={}, places=[])
    assert only(one)["region"] == "nowhere"
    assert only(one)["classification"] == "unknown"


def test_a_version_without_lineage_serves_unknown_people() -> None:
    (one,) = flows_of(version=VERSION, parents={}, data_sets={}, places=[PlaceFact("serving", "environment:p", SAUDI)])
    assert only(one)["data_subjects"] == ["unknown"]
    assert only(one)["sensitive"] is True


def test_freeze_needs_every_part_by_name() -> None:
    with pytest.raises(TypeError):
        freeze(now=NOW)  # type: ignore[call-arg]
