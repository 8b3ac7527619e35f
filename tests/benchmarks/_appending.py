"""Writers with pgbench: a business row and an entry in each transaction, with and without what the log guarantees.

Both sides write the same statements and the same bytes. The plain side's tables are ordinary: no hash, no trigger, no
completeness, nothing that sequences. Our side runs with everything on: governed table, roles, sequencer, signer.
"""

from __future__ import annotations

import os
import random
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

import psycopg

from tests.benchmarks._server import Bench, migrated_server  # sets Django up, so it comes first

# isort: split
from audit.actors import Actor
from audit.log import entry_bytes
from audit.models.events import Event
from config.stack import database
from config.stack.state import free_port

WRITERS = 32
SECONDS = 2
ROUNDS = 9
TABLES = """
    CREATE TABLE plain_row (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, value integer NOT NULL);
    CREATE TABLE plain_entry (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, log_id integer NOT NULL,
                              event_id uuid NOT NULL, object_key text NOT NULL, entry bytea NOT NULL);
    CREATE TABLE governed_row (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, value integer NOT NULL);
    CREATE CONSTRAINT TRIGGER governed_entry AFTER INSERT OR UPDATE OR DELETE ON governed_row
        DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION audit.require_entry();
    GRANT SELECT, INSERT ON plain_row, plain_entry, governed_row TO countersign_app;
"""
_SCRIPT = """
BEGIN;
INSERT INTO {row} (value) VALUES (1) RETURNING id \\gset
INSERT INTO {entry} (log_id, event_id, object_key, entry)
VALUES (1, gen_random_uuid(), '{row}/' || :id, decode('{data}', 'hex'));
{work}COMMIT;
"""


@dataclass
class Slices:
    """Transactions per second of each side, a pair for each round."""

    plain: list[float] = field(default_factory=list)
    ours: list[float] = field(default_factory=list)

    @property
    def ratio(self) -> float:
        """The median of same-round ratios."""
        return statistics.median(ours / plain for ours, plain in zip(self.ours, self.plain, strict=True))


def sample_entry() -> bytes:
    """About 390 bytes: an entry as a deployment writes it."""
    by = Actor("user:018f3c1e-0000-7000-8000-000000000001", "Layla Haddad", frozenset({"ml_lead"}))
    facts = {"environment": "prod-uae", "version": "credit-scoring/14", "digest": "ab" * 32, "share": 100}
    key = "governed_row/123456"
    return entry_bytes(UUID(int=7), Event.DEPLOYMENT_RECORDED, "deployment:1", key, facts=facts, commitments={}, by=by)


@contextmanager
def sequencing(bench: Bench) -> Iterator[None]:
    """The signer and the sequencer as the stack runs them: two processes of ``manage.py``."""
    with tempfile.TemporaryDirectory() as state:
        environment = os.environ | {
            "SEQUENCER_DATABASE_URL": bench.url(database.SEQUENCER),
            "SIGNER_ADDRESS": f"127.0.0.1:{free_port()}",
            "SIGNER_SECRET_FILE": f"{state}/secret",
            "SIGNER_STATE_DIR": f"{state}/signer",
        }
        commands = [[sys.executable, "-m", "django", name] for name in ("audit_signer", "audit_sequencer")]
        processes = [
            subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            for command in commands
        ]
        try:
            until_signed(bench)
            yield
        finally:
            for process in reversed(processes):
                process.send_signal(signal.SIGTERM)
                process.wait(60)


def until_signed(bench: Bench) -> None:
    """Wait until every committed entry is under a signed checkpoint. Raises ``RuntimeError`` after two minutes."""
    with psycopg.connect(bench.admin_url, autocommit=True) as connection:
        for _ in range(1200):
            row = connection.execute(
                "SELECT (SELECT max(size) FROM audit.checkpoint), (SELECT count(*) FROM audit.entry)"
            ).fetchone()
            if row and row[0] and row[0] == row[1]:
                return
            time.sleep(0.1)
    raise RuntimeError("the sequencer does not keep up")


def compare(*, milliseconds_of_work: int = 0, writers: int = WRITERS, rounds: int = ROUNDS) -> Slices:
    """Alternate slices of both sides in shuffled order while the sequencer runs."""
    slices = Slices()
    with migrated_server("max_wal_size=8GB", "checkpoint_timeout=1h") as bench:
        bench.execute(TABLES)
        work = f"\\sleep {milliseconds_of_work} ms\n" if milliseconds_of_work else ""
        with sequencing(bench), tempfile.TemporaryDirectory() as folder:
            sides: list[tuple[Callable[[float], None], Path]] = [
                (slices.plain.append, script(folder, "plain_row", "plain_entry", work)),
                (slices.ours.append, script(folder, "governed_row", "audit.entry", work)),
            ]
            for number in range(rounds + 1):
                for keep, written in random.sample(sides, 2):
                    rate = transactions_per_second(bench, written, writers)
                    until_signed(bench)  # what this side left to do is not the other's burden
                    if number:  # the first round fills caches
                        keep(rate)
    return slices


def script(folder: str, row: str, entry: str, work: str = "") -> Path:
    """A pgbench script that writes one business row and one entry in a transaction."""
    path = Path(folder) / f"{row}.sql"
    path.write_text(_SCRIPT.format(row=row, entry=entry, data=sample_entry().hex(), work=work))
    return path


def transactions_per_second(
    bench: Bench, written: Path, writers: int, seconds: int = SECONDS, *, rate: int = 0
) -> float:
    """One slice with pgbench, as fast as it goes or at ``rate`` a second; a failed transaction ends the benchmark."""
    command = [str(bench.binaries / "pgbench"), "--no-vacuum", "--protocol=prepared", f"--file={written}"]
    command += [f"--client={writers}", "--jobs=2", f"--time={seconds}"]
    command += [f"--rate={rate}"] if rate else []
    done = subprocess.run(command, env=bench.environment(), capture_output=True, text=True, check=True)
    found = re.search(r"tps = ([\d.]+) \(without", done.stdout)
    failed = re.search(r"number of failed transactions: (\d+)", done.stdout)
    if not found or not failed or failed[1] != "0":
        raise RuntimeError(done.stdout + done.stderr)
    return float(found[1])


def report(name: str, slices: Slices, goal: float) -> None:
    """Each round, then the line that ends every benchmark."""
    for plain, ours in zip(slices.plain, slices.ours, strict=True):
        print(f"plain {plain:8.0f} tps   ours {ours:8.0f} tps   {ours / plain:.2f}")
    print(f"{name} ratio={slices.ratio:.2f} goal={goal}")
