"""A7: an older database is restored, goes on, and overtakes the size that was signed. With the drill that mends it."""

from __future__ import annotations

import itertools
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from audit import backup, health, queries, recovery
from audit.all_logs import verify_all
from audit.entry_copies import CopyDamaged, read_copy
from audit.merkle.proofs import verify_consistency
from audit.refusals import BadInput, Conflict
from audit.sequencer import LogFrozen, Sequencer
from audit.signer import Signer, SignerRefusal
from config.stack import database
from tests.audit.story import LAYLA, ORIGIN, append, as_attacker, execute
from tests.conftest import CommittedDatabase, Server, use_database

_numbers = itertools.count(1)
ROOTS = "SELECT size, root FROM audit.checkpoint ORDER BY size"
FIRST = "SELECT entry FROM audit.entry e JOIN audit.leaf l ON l.entry_id = e.id WHERE l.log_id = 2 AND leaf_index = 0"


@dataclass
class World:
    """600 signed entries, copied before they were signed, and a database restored from a backup of 302 of them."""

    server: Server
    state: Path
    copies: Path
    backup: Path
    whole: CommittedDatabase
    restored: CommittedDatabase
    signer: Signer | None = None

    @property
    def holder(self) -> Signer:
        """The signer, which remembers 600 entries."""
        assert self.signer is not None
        return self.signer

    def sequencer(self, number: int = 1) -> Sequencer:
        """Over the restored database."""
        signer = self.holder.opened(ORIGIN if number == 1 else f"{ORIGIN}.{number}")
        return Sequencer(self.restored.url(database.SEQUENCER), signer, log_id=number, copies=str(self.copies))


@pytest.fixture(scope="module")
def made(
    postgres_server: Server,
    template_database: str,
    shared_database: str,
    django_db_blocker: Any,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[World]:
    """The world as every test finds it; each works on copies."""
    folder = tmp_path_factory.mktemp("a07")
    whole = CommittedDatabase(postgres_server, f"a07_whole_{os.getpid()}")
    restored = CommittedDatabase(postgres_server, f"a07_restored_{os.getpid()}")
    world = World(postgres_server, folder / "signer", folder / "copies", folder / "backup", whole, restored)
    postgres_server.create(whole.name, template_database)
    signer = Signer(world.state, ORIGIN)
    sequencer = Sequencer(whole.url(database.SEQUENCER), signer, copies=str(world.copies))
    with django_db_blocker.unblock():
        use_database(whole.url())
        append(300)
        sequencer.run_once()
        assert backup.make(world.backup, url=whole.admin_url) == signer.head()[0]
        append(298)
        sequencer.run_once()
        use_database(postgres_server.url(database.APP, shared_database))
    sequencer.close()
    signer.close()
    postgres_server.create(restored.name)
    execute(restored.admin_url, "DROP SCHEMA public CASCADE", "CREATE SCHEMA public")
    told = backup.restore(world.backup, url=restored.admin_url)
    assert (told.origin, told.size) == (ORIGIN, 302)
    yield world
    postgres_server.drop(whole.name)
    postgres_server.drop(restored.name)


@pytest.fixture
def world(made: World, shared_database: str, django_db_blocker: Any, tmp_path: Path, settings: Any) -> Iterator[World]:
    """The restored database is what the server uses."""
    settings.LOG_ORIGIN = ORIGIN
    own = CommittedDatabase(made.server, f"a07_{os.getpid()}_{next(_numbers)}")
    made.server.create(own.name, made.restored.name)
    signer = Signer(shutil.copytree(made.state, tmp_path / "signer"))
    with django_db_blocker.unblock():
        use_database(own.url())
        copies, kept = (shutil.copytree(each, tmp_path / each.name) for each in (made.copies, made.backup))
        yield replace(made, restored=own, signer=signer, copies=copies, backup=kept)
        use_database(made.server.url(database.APP, shared_database))
    signer.close()
    made.server.drop(own.name)


def test_a_restored_database_is_never_signed_again_even_after_it_overtakes(world: World) -> None:
    append(400)
    restarted = world.sequencer()
    with pytest.raises(LogFrozen, match="signed 600") as frozen:
        restarted.run_once()
    assert "audit_restore replay" in frozen.value.procedure
    assert execute(world.restored.admin_url, "SELECT max(leaf_index) FROM audit.leaf") == [(301,)]
    assert queries.log_state().state == "failed"
    root = restarted._stored(302).root()
    for size, proof, code in ((302, [], "rollback"), (702, [root], "fork"), (600, [], "fork")):
        with pytest.raises(SignerRefusal) as refused:
            world.holder.sign(size, root, proof)
        assert refused.value.code == code
    restarted.close()


def test_the_missing_tail_is_put_back_byte_for_byte_and_the_log_goes_on(world: World) -> None:
    append(4)  # changes that people made after the restore: they wait and come after the tail
    with pytest.raises(LogFrozen):
        world.sequencer().run_once()
    before, after = recovery.replay(world.copies / "1", world.holder, url=world.restored.admin_url, by=LAYLA)
    assert (before, after) == (302, 600)
    assert execute(world.restored.admin_url, ROOTS)[-1] == execute(world.whole.admin_url, ROOTS)[-1]
    again = world.sequencer()
    again.run_once()
    again.run_once()
    size, root = world.holder.head()[0].size, world.holder.head()[0].root
    assert (size, health.log_head().pending) == (605, 0)  # 600, the four, and the entry that tells of the replay
    assert again._stored(605).root() == root
    verify_consistency(600, 605, again._stored(600).root(), root, again._stored(605).consistency(600))
    row = queries.search().rows[0]
    assert (row.event, row.facts["from"], row.facts["to"]) == ("log.replayed", 302, 600)
    again.close()
    with pytest.raises(Conflict, match="Nothing is missing"):
        recovery.replay(world.copies / "1", world.holder, url=world.restored.admin_url, by=LAYLA)


def test_a_tail_of_other_bytes_another_order_or_too_few_is_refused_and_changes_nothing(
    world: World, tmp_path: Path
) -> None:
    entries = list(read_copy(world.copies / "1"))
    swapped = [*entries[:400], entries[401], entries[400], *entries[402:]]
    changed = [*entries[:500], entries[500].replace(b"model", b"modem"), *entries[501:]]
    for name, offered in (("swapped", swapped), ("changed", changed), ("short", entries[:590])):
        folder = tmp_path / name / "tile" / "entries"
        folder.mkdir(parents=True)
        for tile in range(3):
            part = offered[tile * 256 : tile * 256 + 256]
            (folder / f"{tile:03d}").write_bytes(b"".join(len(each).to_bytes(2) + each for each in part))
        with pytest.raises(Conflict):
            recovery.replay(tmp_path / name, world.holder, url=world.restored.admin_url, by=LAYLA)
    (tmp_path / "short/tile/entries/001").write_bytes(b"\xff\xff{}")
    with pytest.raises(CopyDamaged, match="middle of an entry"):
        recovery.replay(tmp_path / "short", world.holder, url=world.restored.admin_url, by=LAYLA)
    with pytest.raises(BadInput, match="ADMIN_DATABASE_URL"):
        recovery.replay(world.copies / "1", world.holder, url="", by=LAYLA)
    with pytest.raises(BadInput, match="audit_owner"):
        recovery.replay(world.copies / "1", world.holder, url=world.restored.url(), by=LAYLA)
    assert execute(world.restored.admin_url, "SELECT max(leaf_index) FROM audit.leaf") == [(301,)]


def test_without_a_copy_a_new_log_states_the_loss_and_takes_what_waits(world: World) -> None:
    append(4)
    with pytest.raises(LogFrozen):
        world.sequencer().run_once()
    head, note = world.holder.head()
    name = recovery.give_up(world.holder, url=world.restored.admin_url, reason="the disk died", by=LAYLA)
    assert name == f"{ORIGIN}.2"
    successor = world.sequencer(2)
    successor.run_once()
    told = json.loads(execute(world.restored.admin_url, FIRST)[0][0])["facts"]["previous"]
    assert (told["origin"], told["size"], told["root"], told["note"]) == (ORIGIN, 600, head.root.hex(), note)
    assert (told["lost"], told["restored"]["size"], told["reason"]) == (True, 302, "the disk died")
    assert execute(world.restored.admin_url, "SELECT count(*) FROM audit.leaf WHERE log_id = 2") == [(6,)]
    assert world.holder.opened(name).head()[0].size == 6
    with pytest.raises(SignerRefusal, match="closed"):
        world.holder.sign(601, bytes(32), [])
    append(1)
    assert successor.run_once() == 1
    successor.close()
    survey = verify_all(world.holder)
    assert not [finding for finding in survey.findings if "600" in finding or "end of" in finding], survey.findings
    lie = "UPDATE audit.log_state SET kind = 'closed' WHERE log_id = 1 AND kind = 'lost'"
    as_attacker(world.restored.admin_url, lie)
    assert "covers 600 entries, the log has only 302" in "\n".join(verify_all(world.holder).findings)


def test_a_whole_log_is_not_given_up(world: World) -> None:
    use_database(world.whole.url())
    with pytest.raises(Conflict, match="whole"):
        recovery.give_up(world.holder, url=world.whole.admin_url, reason="by mistake", by=LAYLA)


def test_a_backup_never_overwrites_and_a_damaged_one_is_not_restored(world: World) -> None:
    with pytest.raises(Conflict, match="not empty"):
        backup.make(world.backup, url=world.whole.admin_url)
    with pytest.raises(Conflict, match="not empty"):
        backup.restore(world.backup, url=world.restored.admin_url)
    (world.backup / "checkpoint").write_text("another")
    with pytest.raises(BadInput, match="damaged"):
        backup.restore(world.backup, url=world.restored.admin_url)
    with pytest.raises(BadInput, match="not a backup"):
        backup.restore(world.copies, url=world.restored.admin_url)


def test_a_signer_that_lost_its_memory_is_not_trusted(world: World, tmp_path: Path) -> None:
    fresh = Signer(tmp_path / "fresh", ORIGIN)
    with pytest.raises(LogFrozen):
        Sequencer(world.whole.url(database.SEQUENCER), fresh).run_once()
    fresh.close()


def test_the_commands_say_what_is_wrong(world: World, settings: Any) -> None:
    settings.ADMIN_DATABASE_URL = lambda: world.restored.admin_url
    for arguments, sentence in (
        (["audit_backup", str(world.backup)], "not empty"),
        (["audit_restore", "database", str(world.copies), "--into", world.restored.admin_url], "not a backup"),
        (["audit_restore", "replay", str(world.copies), "--by", "nobody"], "no active account"),
        (["audit_shard", "lost", "--reason", "x", "--by", "nobody"], "no active account"),
    ):
        with pytest.raises(CommandError, match=sentence):
            call_command(*arguments)
