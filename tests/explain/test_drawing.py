"""Rows of a registered data set, drawn from where its file lies, and everything that keeps them from being drawn."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from django.test import Client
from django.urls import reverse

from audit.queries import history
from audit.refusals import BadInput
from explain import drawing, inputs, jobs, receipts
from explain.models import ExplanationJob
from registry import datasets
from registry.models import Dataset
from tests.explain.conftest import TRAINER, Perform, ask, register_endpoint, sample
from tests.explain.servers import serving
from tests.explain.test_explanation_api import body, post

ClientFor = Callable[[str], Client]
pytestmark = pytest.mark.usefixtures("committed_db")
NOWHERE = "http://127.0.0.1:9/"
ROWS = [{**row, "label": i % 2, "customer": f"c-{i}"} for i, row in enumerate(sample(60))]
DRAW = {"dataset": "applications", "rows": 4, "background": 20, "seed": 3}


@pytest.fixture
def folder(tmp_path: Path, settings: Any) -> Path:
    made = tmp_path / "data"
    made.mkdir()
    settings.EXPLANATION_DATA_FOLDERS = [str(made)]
    return made


def registered(uri: str, digest: str = "") -> Dataset:
    return datasets.register_dataset(
        "applications",
        classification="personal",
        subjects=["AE"],
        regions_held=["azure:uaenorth"],
        digest=digest,
        source_uri=uri,
        by=TRAINER,
    )


def stored(folder: Path, name: str = "rows.json", text: str | None = None) -> Dataset:
    (folder / name).write_text(json.dumps(ROWS) if text is None else text)
    return registered(str(folder / name))


def as_csv() -> str:
    lines = [",".join("" if value is None else str(value) for value in row.values()) for row in ROWS]
    return "\n".join([",".join(ROWS[0]), *lines])


def drawn(**changes: Any) -> drawing.Drawn:
    asked = {**DRAW, **changes}
    return drawing.draw(register_endpoint(NOWHERE).version, asked.pop("dataset"), **asked)


def refused(**changes: Any) -> str:
    with pytest.raises(BadInput) as caught:
        drawn(**changes)
    assert set(caught.value.fields) == {"draw"}
    return caught.value.sentence


@pytest.mark.parametrize("form", ["rows.json", "rows.jsonl", "rows.csv", "rows.parquet", "file:"])
def test_inputs_are_drawn_once_each_and_numbered_by_their_line(folder: Path, form: str) -> None:
    match form:
        case "rows.jsonl":
            stored(folder, form, "\n".join(json.dumps(row) for row in ROWS))
        case "rows.csv":
            stored(folder, form, as_csv())
        case "rows.parquet":
            pq.write_table(pa.Table.from_pylist(ROWS), folder / form)
            registered(str(folder / form))
        case "file:":
            (folder / "my rows.json").write_text(json.dumps(ROWS))
            registered(f"file://{folder}/my%20rows.json")
        case _:
            stored(folder, form)
    made = drawn()
    expected = [{name: row[name] for name in ("income", "age", "sector")} for row in ROWS]
    assert made.rows == {line: expected[int(line) - 1] for line in made.rows}
    assert (len(made.rows), len(made.background)) == (4, 20)
    assert list(map(int, made.rows)) == sorted(map(int, made.rows))
    assert not [row for row in made.rows.values() if row in made.background], "without replacement"
    assert made == drawing.draw(ExplanationVersion.get(), "applications", rows=4, background=20, seed=3)
    assert made.rows != drawing.draw(ExplanationVersion.get(), "applications", rows=4, background=20, seed=4).rows


class ExplanationVersion:
    """The version that ``drawn`` registered."""

    @staticmethod
    def get() -> Any:
        from registry.models import ModelVersion

        return ModelVersion.objects.get()


@pytest.mark.parametrize(
    ("uri", "words"),
    [
        ("s3://bucket/rows.csv", "does not read"),
        ("https://10.0.0.1/rows.csv", "does not read"),
        ("", "nobody said where"),
        ("/etc/passwd", "EXPLANATION_DATA_FOLDERS"),
        ("{folder}/../outside.json", "EXPLANATION_DATA_FOLDERS"),
        ("{folder}/link.json", "EXPLANATION_DATA_FOLDERS"),
        ("{folder}/pipe", "it is no file"),
        ("file://elsewhere{folder}/rows.json", "on another machine"),
        ("{folder}/none.json", "No such file"),
        ("{folder}", "directory"),
        ("mlflow-artifacts:/1/rows.csv", "no tracking server"),
    ],
)
def test_no_other_place_is_read(folder: Path, settings: Any, uri: str, words: str) -> None:
    settings.MLFLOW_TRACKING_URI, settings.MLFLOW_SERVERS = "", []
    (folder.parent / "outside.json").write_text(json.dumps(ROWS))
    (folder / "link.json").symlink_to(folder.parent / "outside.json")
    os.mkfifo(folder / "pipe")
    registered(uri.format(folder=folder))
    assert words in refused()


def test_without_folders_none_is_read(folder: Path, settings: Any) -> None:
    stored(folder)
    settings.EXPLANATION_DATA_FOLDERS = []
    assert "EXPLANATION_DATA_FOLDERS" in refused()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "There are no rows"),
        (json.dumps([1] * 30), "not an object"),
        ("[{]", "not JSON"),
        (json.dumps([{"income": 1.0, "age": 30}] * 30), "Row 1 of dataset:applications has no column “sector”"),
        (json.dumps(ROWS[:10]), "has 10 rows, and 24 are asked for"),
    ],
)
def test_a_file_that_cannot_be_used_says_why(folder: Path, text: str, words: str) -> None:
    stored(folder, text=text)
    assert words in refused()


def test_bytes_that_are_no_table_are_refused(folder: Path) -> None:
    (folder / "x").write_bytes(b"\xff\xfe\x00")
    registered(str(folder / "x"))
    assert "neither text" in refused()
    (folder / "x").write_bytes(b"PAR1 and nothing else")
    version = ExplanationVersion.get()
    with pytest.raises(BadInput, match="cannot be read"):
        drawing.draw(version, "applications", rows=1, background=0, seed=0)


def test_more_bytes_than_a_page_may_read_are_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drawing, "LARGEST", 1 << 10)
    stored(folder)
    assert "more than" in refused()


@pytest.mark.parametrize("right", [True, False])
def test_a_registered_digest_of_the_file_is_held_to(folder: Path, right: bool) -> None:
    text = json.dumps(ROWS)
    (folder / "rows.json").write_text(text)
    digest = hashlib.sha256(text.encode()).hexdigest() if right else "0" * 64
    registered(str(folder / "rows.json"), f"sha256:{digest}")
    if right:
        assert drawn().record["file"] == f"sha256:{digest}"
    else:
        assert "is not the one that was registered" in refused()


def test_a_version_without_a_signature_draws_nothing(folder: Path) -> None:
    stored(folder)
    version = register_endpoint(NOWHERE, schema={}).version
    with pytest.raises(BadInput, match="no signature"):
        drawing.draw(version, "applications", rows=1, background=0, seed=0)


def test_the_person_of_each_row_is_known_and_no_input(folder: Path) -> None:
    stored(folder)
    made = drawn(subject_column="customer")
    assert made.subjects == {line: f"c-{int(line) - 1}" for line in made.rows}
    assert len(set(made.behind)) == len(made.background)
    assert not set(made.behind) & set(made.subjects.values())
    assert {name for row in made.rows.values() for name in row} == {"income", "age", "sector"}
    nameless = [{**row, "customer": ""} for row in ROWS]
    (folder / "rows.json").write_text(json.dumps(nameless))
    with pytest.raises(BadInput, match="has no “customer”"):
        drawing.draw(ExplanationVersion.get(), "applications", rows=4, background=0, seed=3, subject_column="customer")


def test_log_and_receipt_say_where_the_rows_come_from(folder: Path, api_for: ClientFor, perform: Perform) -> None:
    stored(folder)
    with serving() as (url, _server):
        endpoint = register_endpoint(url)
        asked = body(endpoint, draw={**DRAW, "rows": 3})
        del asked["rows"], asked["background"]
        answer = post(api_for("ci"), "", asked)
        assert answer.status_code == 201, answer.json()
        job = perform(ExplanationJob.objects.get(pk=answer.json()["id"]))
        plain = perform(ask(endpoint, count=2))
    record = job.receipt["drawn"]
    sha256 = hashlib.sha256((folder / "rows.json").read_bytes()).hexdigest()
    assert record == {
        "dataset": "dataset:applications",
        "registered_digest": "",
        "file": f"sha256:{sha256}",
        "lines": 60,
        "rows": 3,
        "background": 20,
        "seed": "3",
    }
    assert history(job.subject)[-1].facts["drawn"] == record
    assert (job.state, receipts.problems(job)) == ("finished", [])
    assert "drawn" not in plain.receipt
    assert "drawn" not in history(plain.subject)[-1].facts
    assert jobs.rerun(job, by=TRAINER).settings["drawn"] == record


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"draw": DRAW}, "rows"),
        ({"rows": None, "draw": {**DRAW, "rows": 0}}, "rows"),
        ({"background": None}, "background"),
        ({"rows": None, "background": None, "draw": {**DRAW, "dataset": "none"}}, ""),
        ({"rows": None, "background": None, "draw": DRAW, "subjects": {"1": "x"}}, "subjects"),
        ({"rows": None, "background": None, "draw": DRAW, "background_subjects": ["x"]}, "background_subjects"),
        ({"rows": None, "background": None, "draw": {**DRAW, "rows": -1}}, "draw"),
    ],
)
def test_the_api_refuses_what_is_given_twice_or_not_at_all(
    folder: Path, api_for: ClientFor, changes: dict[str, Any], field: str
) -> None:
    stored(folder)
    asked = {name: value for name, value in body(register_endpoint(NOWHERE), **changes).items() if value is not None}
    answer = post(api_for("ci"), "", asked)
    assert answer.status_code == (400 if field else 404), answer.content
    assert field in answer.content.decode()
    assert not ExplanationJob.objects.exists()


def form_of(endpoint: Any, **changes: str) -> dict[str, str]:
    found = {"endpoint": str(endpoint.pk), "method": "shap", "dataset": str(Dataset.objects.get().pk)}
    return found | {"draw_rows": "4", "draw_background": "20", "draw_seed": "3"} | changes


def test_a_person_draws_rows_by_the_form(folder: Path, client_for: ClientFor) -> None:
    stored(folder)
    endpoint = register_endpoint(NOWHERE)
    client, address = client_for("yusuf"), reverse("explain:request")
    assert "applications" in client.get(address).content.decode()
    form = form_of(endpoint, subject_column="customer")
    estimate = client.post(address, form)
    assert estimate.status_code == 200, estimate.content.decode()
    client.post(address, form | {"step": "request", "estimated": estimate.context["question"]})
    job = ExplanationJob.objects.get()
    made = drawing.draw(endpoint.version, "applications", rows=4, background=20, seed=3, subject_column="customer")
    assert [row.id for row in inputs.rows_of(job)] == list(made.rows)
    assert job.settings["drawn"] == made.record


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"draw_rows": ""}, "There are no rows"),
        ({"rows": "income,age,sector\n1,2,x"}, "not both"),
        ({"draw_rows": "59"}, "60 rows, and 79 are asked for"),
        ({"subject_column": "nobody"}, "no column “nobody”"),
        ({"dataset": "99999"}, "dataset"),
    ],
)
def test_the_form_says_what_cannot_be_drawn(
    folder: Path, client_for: ClientFor, changes: dict[str, str], words: str
) -> None:
    stored(folder)
    answer = client_for("yusuf").post(reverse("explain:request"), form_of(register_endpoint(NOWHERE), **changes))
    assert answer.status_code == 422
    assert words in answer.content.decode()
    assert not ExplanationJob.objects.exists()
