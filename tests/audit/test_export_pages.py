"""Exports as people and programs ask for them: page, API, command, tables of the Log page, a dropped bundle."""

from __future__ import annotations

import csv
import io
import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import openpyxl
import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import call_command
from django.db import transaction
from django.test import Client

from audit import log, queries
from audit.exports import bundle, jobs
from audit.models import Event, Export
from audit.signer import Signer
from audit.signer_protocol import SignerServer
from tests import personas
from tests.audit.exporting import export, key_of, pack, verdict
from tests.audit.story import LAYLA, append

SECRET, EXPORT_SECRET = b"s" * 40, b"e" * 40
pytestmark = pytest.mark.usefixtures("committed_db")


@pytest.fixture(autouse=True)
def export_dir(settings: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A folder for the files, as private as the real one."""
    settings.EXPORT_DIR = tmp_path / "exports"  # type: ignore[attr-defined]
    return tmp_path / "exports"


@pytest.fixture
def served(signer: Signer, settings: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Signer]:
    """The signer behind its own protocol, reached with the secret of exports alone."""
    server = SignerServer(signer, SECRET, "127.0.0.1:0", exports=EXPORT_SECRET)
    secret = tmp_path / "export-secret"
    secret.write_bytes(EXPORT_SECRET)
    secret.chmod(0o600)
    settings.SIGNER_ADDRESS = server.address  # type: ignore[attr-defined]
    settings.SIGNER_EXPORT_SECRET_FILE = secret  # type: ignore[attr-defined]
    thread = threading.Thread(target=_serve, args=(server,), daemon=True)
    thread.start()
    yield signer
    server.close()


def _serve(server: SignerServer) -> None:
    try:
        server.serve_forever()
    except OSError:
        return


def test_an_auditor_asks_for_a_bundle_on_the_page_and_verifies_it_at_home(
    served: Signer, sequence: Callable[[], None], client_for: Callable[[str], Client], tmp_path: Path, export_dir: Path
) -> None:
    append(20)
    sequence()
    client = client_for("noor")
    asked = client.post("/audit/exports", {"model": "credit-scoring", "disclose": ["reason"]})
    assert asked.status_code == 302, asked.content.decode()
    assert "It has not begun yet" in client.get(asked.url).content.decode()
    number = Export.objects.get().pk
    assert jobs.perform(number) == "finished"
    assert jobs.perform(number) == "ignored"
    assert client.get(asked.url).status_code == client.get("/audit/exports").status_code == 200
    fetched = client.get(f"/audit/exports/{number}.zip")
    path = tmp_path / "at-home.zip"
    path.write_bytes(b"".join(fetched.streaming_content))  # type: ignore[attr-defined]
    told = verdict(tmp_path, path, "--key", key_of(served))
    assert (told["verdict"], told["facts"]["entries"], told["facts"]["disclosed"]) == ("verified", 20, 20), told
    assert (export_dir / f"export-{number}.zip").stat().st_mode & 0o777 == 0o600
    assert [row.event for row in queries.history(f"export:{number}")] == ["export.finished", "export.requested"]
    assert {each.name for each in export_dir.iterdir()} == {f"export-{number}.zip"}


def test_only_who_may_export_gets_a_bundle(client_for: Callable[[str], Client], sequence: Callable[[], None]) -> None:
    client = client_for("yusuf")
    assert client.get("/audit/exports").status_code == 200
    assert client.post("/audit/exports", {"everything": "on"}).status_code == 403
    assert client.get("/audit/exports/1.zip").status_code == 403
    assert client_for("noor").get("/audit/exports/99.zip").status_code == 404
    assert not Export.objects.exists()


def test_a_scope_that_chooses_nothing_or_too_much_is_told_in_a_sentence(client_for: Callable[[str], Client]) -> None:
    client = client_for("noor")
    for scope in ({}, {"everything": "on", "model": ""} | {"since": "2026-01-01"}):
        answer = client.post("/audit/exports", scope)
        assert answer.status_code == 400
        assert "Choose either everything" in answer.content.decode()


def test_the_api_asks_watches_and_fetches(
    served: Signer, sequence: Callable[[], None], api_for: Callable[[str], Client], tmp_path: Path
) -> None:
    append(3)
    sequence()
    api = api_for("noor")
    asked = api.post("/api/v1/audit/exports", json.dumps({"everything": True}), content_type="application/json")
    assert asked.status_code == 201, asked.content.decode()
    address = asked["Location"]
    assert api.get(address + "/file").status_code == 409
    jobs.perform(asked.json()["id"])
    assert api.get(address).json()["state"] == "finished"
    path = tmp_path / "fetched.zip"
    path.write_bytes(b"".join(api.get(address + "/file").streaming_content))  # type: ignore[attr-defined]
    assert verdict(tmp_path, path, "--key", key_of(served))["verdict"] == "verified"
    wrong = api.post("/api/v1/audit/exports", json.dumps({"model": "m", "upto": 3}), content_type="application/json")
    assert wrong.status_code == 400


def test_the_next_export_proves_that_it_extends_the_last(
    served: Signer, sequence: Callable[[], None], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    personas.get("noor")
    append(2)
    sequence()
    call_command("audit_export", "--everything", "--by", "noor", "--out", str(tmp_path / "one.zip"))
    append(2)
    sequence()
    call_command("audit_export", "--everything", "--by", "noor", "--out", str(tmp_path / "two.zip"))
    told = verdict(tmp_path, tmp_path / "two.zip", "--key", key_of(served))
    assert told["verdict"] == "verified", told
    assert any("extends the earlier checkpoints" in text for text in told["passed"])
    assert "checkpoint of size" in capsys.readouterr().out


def test_a_full_disk_and_a_silent_signer_end_the_export_with_a_sentence(
    served: Signer,
    sequence: Callable[[], None],
    monkeypatch: pytest.MonkeyPatch,
    settings: pytest.FixtureRequest,
    export_dir: Path,
) -> None:
    append(1)
    sequence()

    def full(*_args: object, **_kwargs: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(bundle.Archive, "close", full)
        first = jobs.request(bundle.Scope(everything=True), by=LAYLA)
        assert jobs.perform(first.pk) == "failed"
    settings.SIGNER_ADDRESS = "127.0.0.1:1"  # type: ignore[attr-defined]
    second = jobs.request(bundle.Scope(everything=True), by=LAYLA)
    assert jobs.perform(second.pk) == "failed"
    first.refresh_from_db()
    second.refresh_from_db()
    assert "disk is full" in first.error
    assert "does not answer" in second.error
    assert not list(export_dir.iterdir()), "what could not be finished does not stay"
    assert queries.history(first.subject)[0].event == "export.failed"


def test_tables_have_the_screens_rows_and_no_formula(
    sequence: Callable[[], None], client_for: Callable[[str], Client]
) -> None:
    append(70)
    with transaction.atomic():
        log.append(Event.MODEL_CHANGED, "model:other", reason='=HYPERLINK("http://evil.example")', by=LAYLA)
    sequence()
    client = client_for("noor")
    sequence()
    for query in ("?model=credit-scoring", "?subject=model%3Aother", ""):
        page = client.get("/log" + query)
        read = b"".join(client.get("/log.csv" + query).streaming_content)  # type: ignore[attr-defined]
        table = list(csv.DictReader(io.StringIO(read.decode())))
        assert len(table) == page.context["counted"].entries
        assert not [cell for row in table for cell in row.values() if cell.startswith(("=", "+", "-", "@", "\t", "\r"))]
        book = b"".join(client.get("/log.xlsx" + query).streaming_content)  # type: ignore[attr-defined]
        again = b"".join(client.get("/log.xlsx" + query).streaming_content)  # type: ignore[attr-defined]
        assert book == again
        sheet = openpyxl.load_workbook(io.BytesIO(book)).active
        assert sheet is not None
        cells = list(sheet.iter_rows(min_row=2))
        assert len(cells) == len(table)
        assert all(cell.data_type in ("s", "n", "inlineStr") for row in cells for cell in row)
    assert client.get("/log.csv?since=never").status_code == 400


def test_a_dropped_bundle_is_verified_and_what_is_not_one_never_is(
    signer: Signer, sequence: Callable[[], None], client_for: Callable[[str], Client], tmp_path: Path
) -> None:
    append(3)
    sequence()
    path = tmp_path / "bundle.zip"
    export(path, signer)
    client = client_for("noor")
    good, bad = path.read_bytes(), bytearray(path.read_bytes())
    bad[len(bad) // 2] ^= 1

    def drop(data: bytes) -> str:
        answer = client.post("/verify/bundle", {"bundle": SimpleUploadedFile("b.zip", data)})
        assert answer.status_code == 200
        return str(answer.context["verdict"].state)

    assert drop(good) == "verified"
    assert drop(bytes(bad)) == "failed"
    assert drop(b"PK\x05\x06" + bytes(18)) == "unknown"
    assert drop(good[: len(good) // 2]) == "failed"
    pack(path, {"checkpoint": b"nothing"})
    assert drop(path.read_bytes()) == "failed"
    assert client.post("/verify/bundle").status_code == 400


def test_an_upload_beyond_the_limit_is_refused_before_it_is_stored(
    client_for: Callable[[str], Client], settings: pytest.FixtureRequest
) -> None:
    settings.EXPORT_UPLOAD_LIMIT = 1024**2  # type: ignore[attr-defined]
    answer = client_for("noor").post("/verify/bundle", {"bundle": SimpleUploadedFile("b.zip", bytes(2 * 1024**2))})
    assert answer.status_code == 400
    assert "larger than" in answer.content.decode()
