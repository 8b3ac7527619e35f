"""Copies of checkpoints: a folder, a git repository, a webhook."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from audit import delivery
from audit.merkle.checkpoint import Head, parse
from audit.outgoing import NotDelivered
from audit.publication import Checkpoint
from audit.publisher import Publisher
from tests.audit.outside import Answer, Cosigner, keys_of, serving
from tests.audit.story import append, execute
from tests.conftest import CommittedDatabase

KEYS = keys_of("log.example/x")
SECRET = "whsec_" + base64.b64encode(b"s" * 32).decode()
Place = Callable[[Checkpoint, str], bytes]


def _checkpoint(size: int, root: bytes = b"\7", origin: str = KEYS.origin) -> Checkpoint:
    head = Head(origin, size, root * 32)
    keys = KEYS if origin == KEYS.origin else keys_of(origin)
    at = datetime(2026, 3, 4, 5, 6, tzinfo=UTC)
    return Checkpoint(1, size, head.root, str(keys.sign(head, 1_700_000_000)), at, current=True)


@pytest.fixture
def repository(tmp_path: Path, settings: Any) -> Path:
    path = tmp_path / "repository"
    subprocess.run(["git", "init", "--quiet", str(path)], check=True)
    settings.CHECKPOINT_GIT = str(path)
    return path


@pytest.fixture
def folder(tmp_path: Path, settings: Any) -> Path:
    path = tmp_path / "copies"
    path.mkdir()
    settings.CHECKPOINT_FOLDER = str(path)
    return path


def _deliver(place: Place, checkpoint: Checkpoint) -> str:
    return place(checkpoint, checkpoint.note).decode()


def test_a_folder_gets_one_file_for_each_day_and_size_and_the_newest(folder: Path) -> None:
    first, second = _checkpoint(7), _checkpoint(9)
    name = _deliver(delivery.to_folder, first)
    _deliver(delivery.to_folder, second)
    assert name.endswith("/2026-03-04-7.checkpoint")
    assert (folder / name).read_text() == first.note
    assert (folder / name).with_name("newest.checkpoint").read_text() == second.note
    assert sorted(path.name for path in (folder / name).parent.iterdir()) == [
        "2026-03-04-7.checkpoint",
        "2026-03-04-9.checkpoint",
        "newest.checkpoint",
    ]


def test_a_repository_gets_one_commit_for_each_checkpoint_and_nothing_else_is_committed(repository: Path) -> None:
    (repository / "other").write_text("being written by somebody")
    subprocess.run(["git", "add", "other"], cwd=repository, check=True)
    first, second = _checkpoint(7), _checkpoint(9)
    commits = [_deliver(delivery.to_git, each) for each in (first, second, second)]
    assert commits[1] == commits[2] != commits[0]
    shown = subprocess.run(
        ["git", "log", "--format=%H %s", "--name-only"], cwd=repository, check=True, capture_output=True, text=True
    ).stdout
    assert shown.count("Checkpoint of log.example/x: ") == 2
    assert "other" not in shown


@pytest.mark.parametrize("place", ["folder", "git"])
@pytest.mark.parametrize(
    ("later", "sentence"),
    [
        (_checkpoint(6), "9 entries, more than this log has"),
        (_checkpoint(9, b"\1"), "another checkpoint of 9 entries"),
    ],
)
def test_a_place_that_knows_another_history_is_not_overwritten(
    place: str, later: Checkpoint, sentence: str, folder: Path, repository: Path
) -> None:
    deliver = {"folder": delivery.to_folder, "git": delivery.to_git}[place]
    _deliver(deliver, _checkpoint(9))
    with pytest.raises(NotDelivered, match=sentence) as refused:
        _deliver(deliver, later)
    assert refused.value.state == "conflict"
    where = folder if place == "folder" else repository
    assert all(parse(path.read_text()).head.root == b"\7" * 32 for path in where.rglob("*.checkpoint"))


def test_a_copy_that_somebody_damaged_is_a_finding(folder: Path) -> None:
    _deliver(delivery.to_folder, _checkpoint(9))
    next(folder.rglob("newest.checkpoint")).write_bytes(b"\xffnothing")
    with pytest.raises(NotDelivered, match="cannot be read") as refused:
        _deliver(delivery.to_folder, _checkpoint(10))
    assert refused.value.state == "conflict"


@pytest.mark.parametrize(
    ("setting", "place"), [("CHECKPOINT_FOLDER", delivery.to_folder), ("CHECKPOINT_GIT", delivery.to_git)]
)
def test_a_place_that_is_not_there_is_said(setting: str, place: Place, tmp_path: Path, settings: Any) -> None:
    setattr(settings, setting, str(tmp_path / "nowhere"))
    with pytest.raises(NotDelivered, match=setting):
        _deliver(place, _checkpoint(7))


def test_a_folder_that_is_no_repository_is_said_in_gits_words(tmp_path: Path, settings: Any) -> None:
    settings.CHECKPOINT_GIT = str(tmp_path)
    with pytest.raises(NotDelivered, match="not a git repository"):
        _deliver(delivery.to_git, _checkpoint(7))


def test_two_logs_never_share_a_file(folder: Path) -> None:
    names = {
        _deliver(delivery.to_folder, _checkpoint(7, origin=origin)) for origin in ("a/b", "a_b", "a.b", "é/b", "../b")
    }
    assert len(names) == 5
    assert all((folder / name).resolve().is_relative_to(folder.resolve()) for name in names)


def test_a_webhook_gets_a_signed_message_whose_id_stays_the_same(settings: Any) -> None:
    with serving(lambda got: Answer(204)) as server:
        settings.CHECKPOINT_WEBHOOK, settings.WEBHOOK_SECRET = server.url + "/hook?x=1", SECRET
        ids = [_deliver(delivery.to_webhook, _checkpoint(7)) for _ in range(2)]
        got = server.got[0]
    assert got.path == "/hook?x=1"
    signed = f"{got.headers['webhook-id']}.{got.headers['webhook-timestamp']}.".encode() + got.body
    mac = base64.b64encode(hmac.new(b"s" * 32, signed, hashlib.sha256).digest()).decode()
    assert got.headers["webhook-signature"] == f"v1,{mac}"
    assert ids[0] == ids[1] == got.headers["webhook-id"]
    assert parse(json.loads(got.body)["data"]["checkpoint"]).head.size == 7


@pytest.mark.parametrize(
    ("url", "secret", "sentence"),
    [
        ("http://hooks.example/x", SECRET, "https"),
        ("", "", "WEBHOOK_SECRET"),
        ("", "short", "WEBHOOK_SECRET"),
        ("", "whsec_!!!", "WEBHOOK_SECRET"),
    ],
)
def test_nothing_is_sent_unsigned_or_in_the_clear(url: str, secret: str, sentence: str, settings: Any) -> None:
    with serving(lambda got: Answer(204)) as server:
        settings.CHECKPOINT_WEBHOOK, settings.WEBHOOK_SECRET = url or server.url, secret
        with pytest.raises(NotDelivered, match=sentence):
            _deliver(delivery.to_webhook, _checkpoint(7))
        assert server.got == []


def test_the_publisher_copies_with_cosignatures_keeps_the_proof_and_tries_again(
    committed_db: CommittedDatabase,
    sequence: Callable[[], None],
    publisher: Publisher,
    follow: Callable[..., None],
    folder: Path,
    repository: Path,
    settings: Any,
) -> None:
    cosigner, answers = Cosigner(), iter([Answer(500), Answer(200)])
    append(3)
    sequence()
    with serving(cosigner.answers) as witness, serving(lambda got: next(answers)) as hook:
        follow({"w": (cosigner.vkey, witness.url)})
        settings.CHECKPOINT_WEBHOOK, settings.WEBHOOK_SECRET = hook.url, SECRET
        publisher.run_once()
        assert _kinds(committed_db) == ["folder", "git"]
        refused = "SELECT kind, state FROM audit.publication WHERE kind <> 'witness' ORDER BY kind"
        assert ("webhook", "refused") in execute(committed_db.url(), refused)
        for patience in publisher._patience.values():
            patience.next_try = 0
        publisher.run_once()
    assert _kinds(committed_db) == ["folder", "git", "webhook"]
    assert ("webhook", "working") in execute(committed_db.url(), refused)
    copied = next(folder.rglob("newest.checkpoint")).read_text()
    assert f"\u2014 {cosigner.name} " in copied


def _kinds(committed_db: CommittedDatabase) -> list[str]:
    return [kind for (kind,) in execute(committed_db.url(), "SELECT kind FROM audit.anchor ORDER BY kind")]
