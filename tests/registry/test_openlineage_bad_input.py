"""Events that cannot be read: a sentence that names the place, nothing kept, and the rest goes on."""

from __future__ import annotations

import gzip
import json
import re
from contextlib import suppress
from typing import Any

import pytest
from celery import current_app
from django.test import Client
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from audit.refusals import BadInput
from registry.models import OpenLineageEvent
from registry.models.versions import NAME_PATTERN
from registry.sources import openlineage_intake as intake
from registry.sources.openlineage_events import MAX_DATASETS, Identity, read
from registry.sources.openlineage_names import key_of, name_of
from tests.registry.openlineage import SPEC, run_event, table, text


@pytest.fixture
def reporting(db: None, api_for: Any, monkeypatch: pytest.MonkeyPatch) -> Client:
    """A caller that may report lineage; the broker is given nothing."""
    monkeypatch.setattr(current_app, "send_task", lambda name, **_: None)
    found: Client = api_for("yusuf")
    return found


def post(client: Client, body: bytes, path: str = "lineage", **headers: str) -> Any:
    return client.post(f"/api/v1/{path}", body, "application/json", headers=headers)


def changed(path: str, value: Any) -> dict[str, Any]:
    """A good event with one place replaced; ``...`` removes it."""
    event: dict[str, Any] = run_event(1, "COMPLETE", ("a",), ("b",))
    *above, last = path.split("/")
    place: Any = event
    for part in above:
        place = place[int(part)] if part.isdigit() else place[part]
    key: Any = int(last) if last.isdigit() else last
    if value is ...:
        del place[key]
    else:
        place[key] = value
    return event


FUTURE = "2999-01-01T00:00:00Z"


@pytest.mark.parametrize(
    ("path", "value", "code"),
    [
        ("eventTime", ..., "openlineage.invalid"),
        ("eventTime", "yesterday", "openlineage.time"),
        ("eventTime", "2026-11-20T09:00:00", "openlineage.time"),
        ("eventTime", "2026-11-20", "openlineage.time"),
        ("eventTime", "0001-01-01T00:00:00+23:59", "openlineage.time"),
        ("eventTime", FUTURE, "openlineage.future"),
        ("eventTime", 5, "openlineage.invalid"),
        ("producer", ..., "openlineage.invalid"),
        (
            "schemaURL",
            "https://openlineage.io/spec/3-0-0/OpenLineage.json#/$defs/RunEvent",
            "openlineage.schema_version",
        ),
        ("schemaURL", f"{SPEC}RunCycle", "openlineage.kind"),
        ("schemaURL", f"{SPEC}DatasetEvent", "openlineage.kind"),
        ("schemaURL", 7, "openlineage.kind"),
        ("eventType", "DONE", "openlineage.invalid"),
        ("eventType", ["COMPLETE"], "openlineage.invalid"),
        ("run", 3, "openlineage.invalid"),
        ("run/runId", "seven", "openlineage.run_id"),
        ("run/runId", "0" * 32, "openlineage.run_id"),
        ("job", ..., "openlineage.invalid"),
        ("job/name", "", "openlineage.invalid"),
        ("job/namespace", "a\x00b", "openlineage.invalid"),
        ("inputs", {"a": 1}, "openlineage.invalid"),
        ("inputs/0", "a", "openlineage.invalid"),
        ("inputs/0/name", None, "openlineage.invalid"),
        ("inputs/0/facets", [], "openlineage.invalid"),
        ("inputs/0/facets/tags", {"tags": "personal"}, "openlineage.invalid"),
        ("inputs/0/facets/tags", {"tags": [{"key": "region"}]}, "openlineage.invalid"),
        ("inputs/0/facets/symlinks", {"identifiers": [{"name": "x"}]}, "openlineage.invalid"),
        ("inputs/0/facets/version", {"datasetVersion": ["1"]}, "openlineage.invalid"),
        ("outputs/0/facets/columnLineage", {"fields": ["x"]}, "openlineage.invalid"),
        ("outputs/0/facets/columnLineage", {"fields": {"x": {"inputFields": 1}}}, "openlineage.invalid"),
        ("outputs/0/facets/lineage", {"inputs": {}}, "openlineage.invalid"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_place(reporting: Client, path: str, value: Any, code: str) -> None:
    answer = post(reporting, text(changed(path, value)))
    assert (answer.status_code, answer.json()["code"]) == (400, code), answer.content
    assert answer.json()["detail"]
    assert not OpenLineageEvent.objects.exists()
    batch = post(reporting, text([run_event(2), changed(path, value), run_event(3)]), "lineage/batch").json()
    assert [(each["index"], each["code"]) for each in batch["failed_events"]] == [(1, code)]
    assert OpenLineageEvent.objects.count() == 2


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"7",
        b'"x"',
        b"\xff\xfe",
        b'{"eventTime": NaN}',
        b'{"a":' * 2000 + b"1" + b"}" * 2000,
        b'{"eventTime": "\\ud800"}',
    ],
)
def test_what_is_no_event_at_all_is_refused(reporting: Client, body: bytes) -> None:
    answer = post(reporting, body)
    assert answer.status_code == 400, answer.content
    assert answer.json()["code"].startswith("openlineage.")
    assert not OpenLineageEvent.objects.exists()


@pytest.mark.parametrize(
    "body", [b"", b"{}", b"[", b"[1", b"[1,]", b"[1 2]", b"[] x", b"[,1]", b"[1,,2]", b"\xff", b"[" * 100_000]
)
def test_a_batch_that_is_no_array_is_refused_as_a_whole(reporting: Client, body: bytes) -> None:
    assert post(reporting, body, "lineage/batch").status_code == 400


def test_an_empty_batch_is_a_success_of_nothing(reporting: Client) -> None:
    answer = post(reporting, b" [ ] ", "lineage/batch").json()
    assert (answer["status"], answer["summary"]["received"]) == ("success", 0)


def test_deep_facets_that_nobody_reads_are_kept_as_they_are(reporting: Client) -> None:
    deep: Any = {}
    for _ in range(200):
        deep = {"more": deep}
    body = text(changed("inputs/0/facets/unheard_of", deep))
    assert post(reporting, body).status_code == 200
    assert bytes(OpenLineageEvent.objects.get().body) == body


def test_huge_bodies_are_refused_before_they_are_unpacked(reporting: Client) -> None:
    assert post(reporting, b'{"a": "' + b"x" * 3_000_000 + b'"}').status_code == 413
    bomb = gzip.compress(b'{"a": "' + b"x" * (intake.MAX_BYTES + 1) + b'"}')
    assert len(bomb) < 100_000
    answer = post(reporting, bomb, **{"Content-Encoding": "gzip"})
    assert (answer.status_code, answer.json()["code"]) == (413, "input.too_large")
    many = run_event(1, reads=tuple(f"t{number}" for number in range(MAX_DATASETS + 1)))
    answer = post(reporting, gzip.compress(text(many)), **{"Content-Encoding": "gzip"})
    assert (answer.status_code, answer.json()["code"]) == (400, "openlineage.too_many")


@pytest.mark.parametrize(
    ("body", "encoding", "code"),
    [
        (b"{}", "gzip", "openlineage.gzip"),
        (gzip.compress(b"{}", mtime=0)[:-4], "gzip", "openlineage.gzip"),
        (gzip.compress(b"{}", mtime=0) + b"more", "gzip", "openlineage.gzip"),
        (b"{}", "br", "openlineage.encoding"),
    ],
)
def test_a_body_that_is_not_what_its_header_says_is_refused(
    reporting: Client, body: bytes, encoding: str, code: str
) -> None:
    answer = post(reporting, body, **{"Content-Encoding": encoding})
    assert (answer.status_code, answer.json()["code"]) == (400, code)


def test_another_content_type_is_refused(reporting: Client) -> None:
    assert reporting.post("/api/v1/lineage", text(run_event()), "text/plain").status_code == 415


@pytest.mark.parametrize(
    "schema",
    [
        None,
        "",
        "https://openlineage.io/spec/1-0-5/OpenLineage.json#/definitions/RunEvent",
        "https://mirror.example/OpenLineage.json#/$defs/RunEvent",
    ],
)
def test_older_and_unnamed_schemas_are_told_by_their_shape(schema: str | None) -> None:
    assert read(text(changed("schemaURL", schema))).kind == "run"


def test_without_schema_the_shape_says_what_it_is() -> None:
    base = {"eventTime": "2026-11-20T09:00:00.123456789+04:00", "producer": "p"}
    job, data = {"namespace": "n", "name": "j"}, {"namespace": "n", "name": "d"}
    assert read(text({**base, "job": job})).kind == "job"
    found = read(text({**base, "dataset": data}))
    assert (found.kind, found.event_time.hour) == ("dataset", 5)
    with pytest.raises(BadInput, match="Neither"):
        read(text(base))


def test_a_marked_as_deleted_facet_claims_nothing() -> None:
    facet = {"_deleted": True, "tags": [{"key": "classification", "value": "none"}]}
    assert read(text(run_event(1, reads=(table("a", tags=facet),)))).inputs[0].tags == {}


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused_with_a_sentence(body: bytes) -> None:
    with suppress(BadInput):
        read(body, now=timezone.now())


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
PLACES = st.sampled_from(
    [
        *("eventTime", "producer", "schemaURL", "eventType", "run", "run/runId", "job", "job/name", "job/facets"),
        *("inputs", "inputs/0", "inputs/0/facets", "inputs/0/facets/tags", "inputs/0/facets/symlinks"),
        *("outputs/0/facets/columnLineage", "outputs/0/facets/lineage", "outputs/0/facets/version"),
    ]
)


@given(PLACES, JSON)
def test_any_value_in_any_place_is_read_or_refused_with_a_sentence(path: str, value: Any) -> None:
    with suppress(BadInput):
        read(json.dumps(changed(path, value)).encode(), now=timezone.now())


TEXTS = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), min_size=1, max_size=300)


@given(st.builds(Identity, TEXTS, TEXTS, st.just("") | TEXTS), st.builds(Identity, TEXTS, TEXTS, st.just("") | TEXTS))
def test_every_name_fits_and_no_two_data_sets_share_one(one: Identity, other: Identity) -> None:
    assert re.fullmatch(NAME_PATTERN.strip("^$"), name_of(one))
    assert (name_of(one) == name_of(other)) == (one == other)
    assert name_of(one) == name_of(Identity(*(one.namespace, one.name, one.version)))


def test_names_stay_readable_and_do_not_run_together() -> None:
    assert name_of(Identity("duckdb:///a.db", "main.orders")).startswith("main.orders.")
    apart = [
        Identity("a/b", "c"),
        Identity("a", "b/c"),
        Identity("a", "b", "c"),
        Identity("a", "b-c"),
        Identity("a", "bc"),
    ]
    assert len({name_of(each) for each in apart}) == len({key_of(each) for each in apart}) == len(apart)
    assert name_of(Identity("countersign", "loans")) == "loans"
    assert name_of(Identity("countersign", "no name/at all")) != "no name/at all"
    assert name_of(Identity("x", "//")).startswith("dataset.")


@given(st.lists(JSON, max_size=6))
def test_a_batch_is_cut_into_exactly_its_parts(values: list[Any]) -> None:
    body = ("\n[ " + " ,\t".join(json.dumps(value) for value in values) + " ]\r\n").encode()
    parts = list(intake._parts(body))
    assert [json.loads(part) for part in parts] == values
    assert all(part in body for part in parts)
