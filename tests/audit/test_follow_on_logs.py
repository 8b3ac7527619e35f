"""A log is closed and another begins: nothing is lost on the way, both name each other, and the old one stays whole."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import transaction
from django.test import Client

from audit import current_log, health, log, queries, retention, shards
from audit.actors import Actor
from audit.entry_copies import EntryCopies
from audit.keyring import keyring
from audit.merkle.checkpoint import Vkey, verify
from audit.merkle.tree import leaf_hash, root_of
from audit.models import Event
from audit.refusals import BadInput, Conflict
from audit.sequencer import Sequencer
from audit.signer import Signer
from audit.tile_files import paths
from config.stack import database
from tests import personas
from tests.audit.story import INSERT, LAYLA, ORIGIN, append, execute
from tests.audit.test_tiles import entries_of
from tests.conftest import CommittedDatabase

ENTRIES = """
    SELECT l.leaf_index, e.entry FROM audit.leaf l JOIN audit.entry e ON (e.log_id, e.id) = (l.log_id, l.entry_id)
    WHERE l.log_id = %s ORDER BY l.leaf_index
"""
NEXT = f"{ORIGIN}.2"


@pytest.fixture(autouse=True)
def _named(settings: Any) -> Iterator[None]:
    settings.LOG_ORIGIN = ORIGIN
    yield
    current_log.forget()


@pytest.fixture
def second(committed_db: CommittedDatabase, signer: Signer) -> Iterator[Sequencer]:
    """The sequencer of the second log; it is used once the first is finished."""
    made = Sequencer(committed_db.url(database.SEQUENCER), signer.opened(NEXT), log_id=2)
    yield made
    made.close()


def _told(own: CommittedDatabase, number: int) -> list[dict[str, Any]]:
    return [json.loads(row[1]) for row in execute(own.admin_url, ENTRIES, values=[number])]


def test_closing_ends_the_old_log_and_the_next_one_names_it(
    committed_db: CommittedDatabase, sequencer: Sequencer, second: Sequencer, signer: Signer
) -> None:
    append(3)
    sequencer.run_once()
    assert shards.order_closing(reason="operator", by=LAYLA) == NEXT
    append(2)
    sequencer.run_once()
    assert sequencer.finished
    old = _told(committed_db, 1)
    assert [entry["event"] for entry in old[-4:]] == ["log.closing", "model.changed", "model.changed", "log.closed"]
    new_vkeys = [str(vkey) for vkey in signer.opened(NEXT).vkeys]
    assert old[-1]["facts"]["successor"] == {"origin": NEXT, "vkeys": new_vkeys}
    head, note = signer.head()
    assert (head.size, verify(note, keyring(queries.fetch, 1).valid_at(head.size))) == (9, head)
    append(1)
    second.run_once()
    first, announced, *rest = _told(committed_db, 2)
    previous = {"origin": ORIGIN, "size": 9, "root": head.root.hex(), "note": note, "reason": "operator"}
    assert (first["event"], first["facts"]) == ("log.opened", {"origin": NEXT, "previous": previous})
    assert (announced["facts"]["vkeys"], [entry["event"] for entry in rest]) == (new_vkeys, ["model.changed"])
    assert [(shard.state, shard.size, shard.signed) for shard in shards.shards(queries.fetch)] == [
        ("closed", 9, 9),
        ("open", 3, 3),
    ]
    current_log.forget()
    assert (log.log_id(), health.log_head().ok, health.log_head().pending) == (2, True, 0)


def test_a_transaction_that_was_writing_is_waited_for_and_nobody_else_waits(
    committed_db: CommittedDatabase, sequencer: Sequencer, second: Sequencer
) -> None:
    append()
    sequencer.run_once()
    with psycopg.connect(committed_db.url()) as slow:
        slow.execute(INSERT)
        shards.order_closing(reason="operator", by=LAYLA)
        sequencer.run_once()
        assert not sequencer.finished  # the slow one may still commit into the old log
        append(2)  # goes to the new one at once
        assert execute(committed_db.admin_url, "SELECT count(*) FROM audit.entry WHERE log_id = 2") == [(2,)]
        assert health.log_head().pending == 2
        slow.commit()
    sequencer.run_once()
    assert sequencer.finished
    assert [entry.get("event") for entry in _told(committed_db, 1)][-2:] == [None, "log.closed"]
    second.run_once()
    assert [entry["event"] for entry in _told(committed_db, 2)][:2] == ["log.opened", "key.announced"]
    assert len(_told(committed_db, 2)) == 4


def test_who_comes_too_late_for_the_old_log_is_refused_and_not_lost(
    committed_db: CommittedDatabase, sequencer: Sequencer
) -> None:
    sequencer.run_once()
    with psycopg.connect(committed_db.url()) as late:
        late.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        late.execute("SELECT count(*) FROM audit.log")  # its view of the world has no second log, for ever
        shards.order_closing(reason="operator", by=LAYLA)
        sequencer.run_once()
        assert sequencer.finished
        with pytest.raises(psycopg.errors.SerializationFailure, match="closed"):
            late.execute(INSERT)
    assert execute(committed_db.admin_url, "SELECT count(*) FROM audit.entry WHERE log_id = 1") == [(4,)]


def test_a_crash_at_every_step_of_closing_is_gone_on_from(
    committed_db: CommittedDatabase, sequencer: Sequencer, signer: Signer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crashing(step: str) -> Sequencer:
        made = Sequencer(committed_db.url(database.SEQUENCER), signer)
        real = getattr(made, step)

        def crash(*arguments: Any) -> None:
            real(*arguments)
            raise KeyboardInterrupt

        monkeypatch.setattr(made, step, crash)
        return made

    append()
    sequencer.run_once()
    sequencer.close()
    shards.order_closing(reason="operator", by=LAYLA)
    for step in ("integrate", "sign", "_close", "integrate", "sign", "_ended"):
        doomed = crashing(step)
        with pytest.raises(KeyboardInterrupt):
            doomed.run_once()
        doomed.close()
    last = Sequencer(committed_db.url(database.SEQUENCER), signer)
    last.run_once()
    assert last.finished
    last.close()
    events = [entry["event"] for entry in _told(committed_db, 1)]
    assert (events.count("log.closed"), events[-1]) == (1, "log.closed")


def test_a_log_that_is_written_to_faster_than_it_is_sequenced_is_not_finished_before_its_end(
    committed_db: CommittedDatabase, signer: Signer, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = Sequencer(committed_db.url(database.SEQUENCER), signer, batch=5)
    made.run_once()
    shards.order_closing(reason="operator", by=LAYLA)
    for _ in range(20):
        execute(committed_db.url(), INSERT)
    sign, rounds = made.sign, []

    def meanwhile() -> None:
        sign()
        rounds.append(len(rounds))
        if len(rounds) <= 8:  # the fifth batch ends with what was there when the round began, and is full
            for _ in range(9):
                execute(committed_db.url(), INSERT)

    monkeypatch.setattr(made, "sign", meanwhile)
    while not made.finished:
        made.run_once()
        assert len(rounds) < 60
    waiting = "SELECT count(*) FROM audit.entry e WHERE log_id = 1 AND NOT EXISTS (SELECT FROM audit.leaf l"
    assert execute(committed_db.admin_url, f"{waiting} WHERE l.log_id = 1 AND l.entry_id = e.id)") == [(0,)]
    assert _told(committed_db, 1)[-1]["event"] == "log.closed"
    made.close()


def test_an_order_is_given_once_and_only_for_a_good_name(committed_db: CommittedDatabase, sequencer: Sequencer) -> None:
    with pytest.raises(Conflict, match="not open"):
        shards.order_closing(reason="operator", by=LAYLA)
    sequencer.run_once()
    for name in ("a b", "a+b", "x" * 256, ORIGIN):
        with pytest.raises(BadInput, match="name"):
            shards.order_closing(reason="operator", origin=name, by=LAYLA)
    shards.order_closing(reason="operator", by=LAYLA)
    with pytest.raises(Conflict, match="already"):
        shards.order_closing(reason="operator", by=LAYLA)
    with transaction.atomic():  # by hand: another name, another log, nonsense
        for facts in ({"log": ORIGIN, "successor": "other/log"}, {"log": "x", "successor": "y"}, {"successor": 5}, {}):
            log.append(Event.LOG_CLOSING, f"log:{ORIGIN}", facts=facts, by=LAYLA)
    sequencer.run_once()
    assert [row[0] for row in execute(committed_db.admin_url, "SELECT origin FROM audit.log ORDER BY 1")] == [
        ORIGIN,
        NEXT,
    ]


def test_a_year_has_its_own_log_when_that_is_configured(
    committed_db: CommittedDatabase, tmp_path: Path, settings: Any
) -> None:
    december, january = datetime(2026, 12, 31, 23, 59, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)
    settings.LOG_SHARDS = "year"
    signer = Signer(tmp_path / "yearly", shards.first_origin(december))
    sequencer = Sequencer(committed_db.url(database.SEQUENCER), signer)
    sequencer.run_once()
    assert shards.close_if_due(december) == ""
    assert shards.close_if_due(january) == f"{ORIGIN}/2027"
    assert shards.close_if_due(january) == ""
    sequencer.run_once()
    assert sequencer.finished
    order = _told(committed_db, 1)[-2]
    assert (order["event"], order["actor"]["id"]) == ("log.closing", "system:year-end")
    settings.LOG_SHARDS = "off"
    assert shards.close_if_due(datetime(2028, 1, 1, tzinfo=UTC)) == ""
    sequencer.close()
    signer.close()


@pytest.fixture
def closed(
    committed_db: CommittedDatabase, sequencer: Sequencer, second: Sequencer, signer: Signer, tmp_path: Path
) -> Path:
    """A closed log of seven entries, its export, and its successor."""
    append(3)
    shards_order = sequencer.run_once()
    assert shards_order
    shards.order_closing(reason="operator", by=LAYLA)
    sequencer.run_once()
    second.run_once()
    EntryCopies(tmp_path / "export").extend(queries.fetch, 1, 7)
    (tmp_path / "export" / "1" / "checkpoint").write_text(signer.head()[1])
    return tmp_path / "export" / "1"


def test_a_log_is_detached_only_after_its_term_and_with_a_whole_export(
    committed_db: CommittedDatabase, closed: Path, second: Sequencer, settings: Any
) -> None:
    url, later = committed_db.admin_url, datetime(2040, 1, 1, tzinfo=UTC)

    def detach(export: Path = closed, origin: str = ORIGIN, now: datetime = later) -> None:
        retention.detach(origin, export, url=url, by=LAYLA, now=now)

    with pytest.raises(Conflict, match="from"):
        detach(now=datetime.now(UTC))
    with pytest.raises(Conflict, match="finished"):
        detach(origin=NEXT)
    bundle = closed / "tile" / "entries" / "000"
    whole = bundle.read_bytes()
    for damaged in (whole.replace(b"model", b"modem", 1), whole[: len(whole) - 2 - int.from_bytes(_last(whole)[:2])]):
        bundle.write_bytes(damaged)
        with pytest.raises(Conflict, match="export"):
            detach()
    bundle.write_bytes(whole)
    detach()
    assert execute(url, "SELECT count(*) FROM audit.entry WHERE log_id = 1") == [(0,)]
    assert execute(url, "SELECT count(*) FROM audit.entry_1") == [(7,)]
    with pytest.raises(psycopg.errors.RestrictViolation):
        execute(url, "DELETE FROM audit.entry_1")
    with pytest.raises(psycopg.errors.RestrictViolation):
        execute(url, "TRUNCATE audit.entry_1")
    second.run_once()
    told = _told(committed_db, 2)[-1]
    assert (told["event"], told["facts"]["size"], told["facts"]["origin"]) == ("log.detached", 7, ORIGIN)
    assert shards.shards(queries.fetch)[0].state == "detached"
    assert health.log_head().pending == 0


def _last(bundle: bytes) -> bytes:
    at, start = 0, 0
    while at < len(bundle):
        start, at = at, at + 2 + int.from_bytes(bundle[at : at + 2])
    return bundle[start:]


def test_the_command_shows_closes_and_says_what_is_wrong(
    committed_db: CommittedDatabase, sequencer: Sequencer, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    sequencer.run_once()
    call_command("audit_shard", "status")
    assert ORIGIN in capsys.readouterr().out
    personas.get("layla")
    for arguments, sentence in (
        (["close", "--by", "nobody"], "no active account"),
        (["close", "--by", "layla", "--origin", "a b"], "cannot be the next"),
        (["compromise", "--by", "layla", "--stands", str(tmp_path / "none")], "No such file"),
        (["detach", "unknown", "--by", "layla", "--export", str(tmp_path)], "no log called"),
    ):
        with pytest.raises(CommandError, match=sentence):
            call_command("audit_shard", *arguments)
    call_command("audit_shard", "close", "--by", "layla")
    assert NEXT in capsys.readouterr().out
    assert Actor.system("x").kind == "system"


def test_an_outsider_still_fetches_and_verifies_the_closed_log(
    committed_db: CommittedDatabase,
    closed: Path,
    second: Sequencer,
    client: Client,
    client_for: Callable[[str], Client],
) -> None:
    append(2)
    second.run_once()
    current_log.forget()
    reader = client_for("noor")
    for prefix, origin in (("/log/of/1/", ORIGIN), ("/log/of/2/", NEXT), ("/log/", NEXT)):
        keys = [Vkey.parse(line) for line in client.get(prefix + "vkey").content.decode().splitlines()]
        head = verify(client.get(prefix + "checkpoint").content.decode(), keys)
        assert head.origin == origin
        files = {
            path: (reader if level is None else client).get(prefix + path).content
            for path, level, _index, _width in paths(head.size)
        }
        entries = entries_of(files[f"tile/entries/000.p/{head.size}"])
        assert root_of([leaf_hash(entry) for entry in entries]) == head.root
        assert files[f"tile/0/000.p/{head.size}"] == b"".join(leaf_hash(entry) for entry in entries)
    assert client.get("/log/of/1/tile/entries/000.p/7").status_code == 401
    for nonsense in ("0", "3", "2147483648", "9" * 40):
        for name in ("checkpoint", "vkey", "tile/0/000.p/7"):
            assert client.get(f"/log/of/{nonsense}/{name}").status_code == 404, (nonsense, name)
    page = reader.get("/verify").content.decode()
    assert 'href="/log/of/1/checkpoint"' in page
    retention.detach(ORIGIN, closed, url=committed_db.admin_url, by=LAYLA, now=datetime(2040, 1, 1, tzinfo=UTC))
    assert reader.get("/log/of/1/tile/entries/000.p/7").status_code == 410
    assert client.get("/log/of/1/tile/0/000.p/7").status_code == 200


def test_a_page_about_the_past_links_to_the_log_of_then(
    committed_db: CommittedDatabase, closed: Path, second: Sequencer, client_for: Callable[[str], Client]
) -> None:
    ended = execute(committed_db.admin_url, "SELECT max(recorded_at) FROM audit.event WHERE log_id = 1")[0][0]
    current_log.forget()
    page = client_for("noor").get("/", {"as_of": ended.isoformat().replace("+00:00", "Z")}).content.decode()
    assert 'href="/log/6?log=1"' in page
