"""What differs is a pure function of two snapshots: every kind by example, the laws by property."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.reconciling.comparison import Comparison, Difference, Kind, State, compare
from registry.reconciling.snapshots import (
    Answer,
    Approval,
    Observed,
    Outcome,
    Recorded,
    RecordedAlias,
    RecordedEndpoint,
    RecordedVersion,
    Served,
    Source,
    SourceVersion,
    Webhooks,
)

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
SERVER = "http://mlflow.example"


def digest(number: int) -> str:
    return f"sha256:{number:064x}"


def version(number: int) -> str:
    return f"version:m/{number}"


def served(number: int, place: str = "prod") -> Served:
    return Served(place, "m", version(number), digest(number))


ENDPOINT = RecordedEndpoint("e", "prod", "m", version(2), digest(2))
VERSIONS = tuple(RecordedVersion("m", n, digest(n), SERVER, f"models:/m-{n}", f"run{n}") for n in (1, 2, 3))
SOURCE = Source(
    SERVER,
    models=frozenset({"m"}),
    aliases={("m", "champion"): "2"},
    versions={("m", n): SourceVersion(f"models:/m-{n}", f"run{n}") for n in (1, 2, 3)},
)
RECORD = Recorded(
    serving=(served(2),),
    endpoints=(ENDPOINT,),
    aliases=(RecordedAlias("m", "champion", version(2)),),
    versions=VERSIONS,
)


def told(**facts: object) -> Answer:
    return replace(Answer("e", Outcome.TOLD, name="m"), **facts)  # type: ignore[arg-type]


def look(answer: Answer | None = None, record: Recorded = RECORD, source: Source | None = SOURCE) -> Comparison:
    answers = (answer or told(versions=("2",), digest=digest(2)),)
    return compare(record, Observed(NOW, (source,) if source else (), answers))


def kinds(comparison: Comparison) -> list[tuple[str, str]]:
    return [(each.kind.value, each.subject) for each in comparison.differences]


def test_what_agrees_has_no_difference_and_is_complete() -> None:
    found = look()
    assert kinds(found) == []
    assert [place.state for place in found.places] == [State.AGREES]
    assert found.complete


@pytest.mark.parametrize(
    ("answer", "kind", "running"),
    [
        (told(versions=("3",)), Kind.RUNNING_UNAPPROVED, version(3)),
        (told(digest=digest(3)), Kind.RUNNING_UNAPPROVED, version(3)),
        (told(digest=digest(9)), Kind.RUNNING_UNAPPROVED, digest(9)),
        (told(versions=("2",), digest=digest(9)), Kind.RUNNING_UNAPPROVED, digest(9)),
        (told(name="other", versions=("2",)), Kind.RUNNING_UNAPPROVED, "version:other/2"),
        (told(versions=("2", "3")), Kind.RUNNING_UNAPPROVED, version(3)),
        (told(versions=("v2",)), Kind.RUNNING_UNAPPROVED, "version:m/v2"),
        (told(versions=("3",), digest=digest(2)), Kind.ANSWERS_OTHERWISE, version(2)),
    ],
)
def test_an_endpoint_that_says_it_serves_something_else_is_found(answer: Answer, kind: Kind, running: str) -> None:
    (difference,) = look(answer).differences
    assert (difference.kind, difference.subject, difference.observed["version"]) == (kind, "endpoint:e", running)
    assert [place.state for place in look(answer).places] == [State.DIFFERS]


def test_the_digest_is_authoritative_over_the_name_under_which_a_server_serves() -> None:
    assert kinds(look(told(name="served-as-this", versions=("1",), digest=digest(2)))) == []


def test_a_told_digest_is_compared_with_the_deployments_own_and_not_with_its_versions() -> None:
    torn = replace(RECORD, serving=(replace(served(2), digest=digest(5)),))
    assert kinds(look(told(versions=("2",), digest=digest(2)), torn)) == [("running_unapproved", "endpoint:e")]


def test_an_approved_version_at_the_wrong_endpoint_answers_otherwise() -> None:
    canary = replace(RECORD, serving=(served(2), served(3)))
    assert kinds(look(told(digest=digest(3)), canary)) == [("answers_otherwise", "endpoint:e")]


def test_what_serves_in_another_environment_is_not_approved_here() -> None:
    elsewhere = replace(RECORD, serving=(served(2), served(3, "staging")))
    assert kinds(look(told(digest=digest(3)), elsewhere)) == [("running_unapproved", "endpoint:e")]


def test_an_endpoint_registered_with_what_no_deployment_names_differs_though_it_is_silent() -> None:
    silent = Answer("e", Outcome.SILENT, why="scoring_server")
    assert kinds(look(silent)) == []
    (difference,) = look(silent, replace(RECORD, serving=(served(1),))).differences
    assert (difference.kind, difference.observed["basis"]) == (Kind.RUNNING_UNAPPROVED, "registered")


@pytest.mark.parametrize(
    ("answer", "state", "kind"),
    [
        (Answer("e", Outcome.SILENT, why="scoring_server"), State.CANNOT_TELL, []),
        (Answer("e", Outcome.UNREACHABLE, why="timeout"), State.UNREACHABLE, ["endpoint_unreachable"]),
        (Answer("another", Outcome.TOLD, versions=("2",)), State.UNREACHABLE, ["endpoint_unreachable"]),
    ],
    ids=["silent", "unreachable", "not asked"],
)
def test_what_cannot_be_told_is_never_agreement(answer: Answer, state: State, kind: list[str]) -> None:
    found = look(answer)
    assert [place.state for place in found.places] == [state]
    assert [each.kind.value for each in found.differences] == kind
    assert not found.complete
    assert not found.covers("reported:e")


def test_a_deployment_that_nobody_can_ask_is_a_place_of_its_own() -> None:
    found = look(record=replace(RECORD, serving=(served(2), served(1, "ksa"))))
    assert [(place.environment, place.state, place.why) for place in found.places][1:] == [
        ("ksa", State.CANNOT_TELL, "no_endpoint")
    ]
    assert not found.complete


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (replace(SOURCE, aliases={("m", "champion"): "3"}), [("alias_moved", "alias:m/champion")]),
        (replace(SOURCE, aliases={}), [("alias_moved", "alias:m/champion")]),
        (replace(SOURCE, aliases={("m", "champion"): "2", ("m", "new"): "3"}), []),
        (
            replace(SOURCE, versions={k: v for k, v in SOURCE.versions.items() if k != ("m", 1)}),
            [("deleted_there", "version:m/1")],
        ),
        (Source(SERVER), [("deleted_there", "model:m")]),
        (
            replace(SOURCE, versions={**SOURCE.versions, ("m", 1): SourceVersion("models:/m-9", "run1")}),
            [("source_changed", "version:m/1")],
        ),
        (
            replace(SOURCE, versions={**SOURCE.versions, ("m", 1): SourceVersion("models:/m-1", "run9")}),
            [("source_changed", "version:m/1")],
        ),
        (replace(SOURCE, versions={**SOURCE.versions, ("m", 1): SourceVersion("models:/m-1", "")}), []),
        (Source(SERVER, problem="down"), [("source_unreadable", "source:mlflow")]),
    ],
)
def test_what_changed_in_mlflow_is_found(source: Source, expected: list[tuple[str, str]]) -> None:
    assert kinds(look(source=source)) == expected


def test_a_server_that_was_not_read_is_said_and_never_agreement() -> None:
    others = {key: SourceVersion(f"models:/m-of-another-{key[1]}", "") for key in SOURCE.versions}
    for source in (None, replace(SOURCE, address="http://another.example", versions=others)):
        found = look(source=source)
        assert found.unread_servers == (SERVER,)
        assert not found.complete
    assert look(source=replace(SOURCE, address="http://moved.example")).complete, "the same ids: the same server"
    assert not look(source=None).covers("source:mlflow")
    assert not look(source=Source(SERVER, problem="down")).covers("source:mlflow")


def test_an_approval_without_its_deployment_is_found_after_its_grace() -> None:
    approval = Approval("promotion:7", "promotion", version(3), "prod", NOW - timedelta(hours=25))
    assert kinds(look(record=replace(RECORD, approvals=(approval,)))) == [("never_deployed", "promotion:7")]
    fresh = replace(approval, since=NOW - timedelta(hours=23))
    assert kinds(look(record=replace(RECORD, approvals=(fresh,)))) == []


@pytest.mark.parametrize(
    ("set_up", "delivery", "since", "found", "missed"),
    [
        (True, None, 60, 30, True),
        (True, 90, 60, 30, True),
        (True, 50, 60, 30, False),
        (True, 10, 60, 30, False),
        (True, None, 60, 3, False),
        (True, None, None, None, False),
        (False, None, 60, 30, False),
    ],
)
def test_a_change_without_its_webhook_is_found(
    set_up: bool, delivery: int | None, since: int | None, found: int | None, missed: bool
) -> None:
    def ago(minutes: int | None) -> datetime | None:
        return None if minutes is None else NOW - timedelta(minutes=minutes)

    webhooks = Webhooks(set_up, ago(delivery), ago(since), ago(found))
    expected = [("missed_webhook", "source:mlflow")] if missed else []
    assert kinds(look(record=replace(RECORD, webhooks=webhooks))) == expected


# ── laws ─────────────────────────────────────────────────────────────────────────────────────────────────────────────
numbers = st.integers(1, 3)
places = st.sampled_from(["prod", "ksa"])
answers = st.one_of(
    st.builds(
        Answer,
        st.sampled_from(["e", "f"]),
        st.just(Outcome.TOLD),
        name=st.sampled_from(["", "m", "other"]),
        versions=st.sampled_from([(), ("1",), ("2",), ("1", "3")]),
        digest=st.sampled_from(["", *(digest(n) for n in (1, 2, 9))]),
    ),
    st.builds(Answer, st.sampled_from(["e", "f"]), st.sampled_from([Outcome.SILENT, Outcome.UNREACHABLE])),
)
records = st.builds(
    Recorded,
    serving=st.lists(st.builds(served, numbers, places), max_size=3).map(tuple),
    endpoints=st.lists(
        st.builds(
            lambda name, place, n: RecordedEndpoint(name, place, "m", version(n), digest(n)),
            st.sampled_from(["e", "f"]),
            places,
            numbers,
        ),
        max_size=2,
        unique_by=lambda each: each.name,
    ).map(tuple),
    aliases=st.lists(
        st.builds(lambda name, n: RecordedAlias("m", name, version(n)), st.sampled_from("ab"), numbers),
        max_size=2,
        unique_by=lambda each: each.name,
    ).map(tuple),
    versions=st.just(VERSIONS),
)
sources = st.none() | st.builds(
    lambda moved, problem: replace(SOURCE, aliases={("m", name): str(n) for name, n in moved.items()}, problem=problem),
    st.dictionaries(st.sampled_from("ab"), numbers),
    st.sampled_from(["", "down"]),
)
observations = st.builds(
    Observed,
    st.just(NOW),
    sources.map(lambda source: (source,) if source else ()),
    st.lists(answers, max_size=3).map(tuple),
)


@given(records, observations)
def test_the_same_difference_has_one_key_and_the_order_of_facts_does_not_matter(
    record: Recorded, seen: Observed
) -> None:
    found = compare(record, seen)
    keys = [each.key for each in found.differences]
    assert len(set(keys)) == len(keys)
    turned = replace(
        record,
        serving=record.serving[::-1],
        endpoints=record.endpoints[::-1],
        aliases=record.aliases[::-1],
        versions=record.versions[::-1],
    )
    again = compare(turned, seen)
    assert [each.key for each in again.differences] == keys
    assert again.complete == found.complete


@given(records, observations)
def test_only_a_place_that_told_something_recorded_there_ever_agrees(record: Recorded, seen: Observed) -> None:
    found = compare(record, seen)
    answered = {each.endpoint: each for each in seen.answers}
    for place in found.places:
        if place.state != State.AGREES:
            continue
        answer = answered[place.endpoint]
        assert answer.outcome == Outcome.TOLD
        open_here = [each for each in record.serving if (each.environment, each.model) == (place.environment, "m")]
        assert place.recorded
        if answer.digest:
            assert answer.digest in {each.digest for each in open_here}
        else:
            assert {f"version:m/{number}" for number in answer.versions} <= {each.version for each in open_here}


@given(records, observations)
def test_every_difference_is_one_that_its_own_look_could_see(record: Recorded, seen: Observed) -> None:
    found = compare(record, seen)
    assert all(found.covers(each.scope) for each in found.differences)
    assert found.agreed_with(found) == found
    assert found.agreed_with(compare(Recorded(), Observed(NOW))).differences == ()


@given(records, observations)
def test_blindness_hides_nothing_that_was_found_before(record: Recorded, seen: Observed) -> None:
    """When MLflow and every endpoint go dark, no difference that they showed counts as gone."""
    dark = Observed(
        NOW,
        (replace(SOURCE, problem="down"),),
        tuple(Answer(each.name, Outcome.UNREACHABLE) for each in record.endpoints),
    )
    later = compare(record, dark)
    still = {each.key for each in later.differences}
    shown = [each for each in compare(record, seen).differences if each.scope.startswith(("reported:", "source:"))]
    assert [each for each in shown if each.key not in still and later.covers(each.scope)] == []
    assert not later.complete


def test_keys_tell_differences_apart() -> None:
    one = Difference(Kind.ALIAS_MOVED, "alias:m/a", "source:mlflow", ("version:m/3",))
    assert one.key == replace(one, recorded={"version": "version:m/1"}, scope="other").key
    others = [
        replace(one, detail=("version:m/1",)),
        replace(one, subject="alias:m/b"),
        replace(one, kind=Kind.DELETED_THERE),
    ]
    assert len({one.key, *(each.key for each in others)}) == 4


def test_the_comparison_knows_no_framework() -> None:
    code = (
        "import sys, registry.reconciling.comparison; "
        "sys.exit(any(name.partition('.')[0] in ('django', 'httpx', 'celery') for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
