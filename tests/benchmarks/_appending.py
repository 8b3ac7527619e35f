"""Writers with pgbench: a business row and an entry in each transaction, with and without what the log guarantees.

Both sides write the same statements and the same bytes. The plain side's tables are ordinary: no hash, no trigger, no
completeness, nothing that sequences. Our side runs with everything on: governed table, roles, sequencer, signer.
"""

from __future__ import annotations

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
from audit.sequencer import Sequencer
from audit.signer import Signer
from config.stack import database

WRITERS = 32
SECONDS = 2
ROUNDS = 9
_TABLES = """
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
    """The sequencer as a process of its own, with its signer, as the stack runs it."""
    command = [sys.executable, "-m", "tests.benchmarks._appending", bench.url(database.SEQUENCER)]
    process = subprocess.Popen(command)
    try:
        with psycopg.connect(bench.admin_url, autocommit=True) as connection:
            for _ in range(200):
                if connection.execute("SELECT count(*) FROM audit.checkpoint").fetchone() != (0,):
                    break
                time.sleep(0.1)
            else:
                raise RuntimeError("the sequencer does not start")
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def compare(*, milliseconds_of_work: int = 0, writers: int = WRITERS, rounds: int = ROUNDS) -> Slices:
    """Alternate slices of both sides in shuffled order while the sequencer runs."""
    slices = Slices()
    with migrated_server("max_wal_size=8GB", "checkpoint_timeout=1h") as bench:
        bench.execute(_TABLES)
        work = f"\\sleep {milliseconds_of_work} ms\n" if milliseconds_of_work else ""
        with sequencing(bench), tempfile.TemporaryDirectory() as folder:
            sides: list[tuple[Callable[[float], None], Path]] = [
                (slices.plain.append, _script(folder, "plain_row", "plain_entry", work)),
                (slices.ours.append, _script(folder, "governed_row", "audit.entry", work)),
            ]
            for number in range(rounds + 1):
                for keep, script in random.sample(sides, 2):
                    rate = _transactions_per_second(bench, script, writers)
                    if number:  # the first round fills caches
                        keep(rate)
    return slices


def _script(folder: str, row: str, entry: str, work: str) -> Path:
    path = Path(folder) / f"{row}.sql"
    path.write_text(_SCRIPT.format(row=row, entry=entry, data=sample_entry().hex(), work=work))
    return path


def _transactions_per_second(bench: Bench, script: Path, writers: int) -> float:
    command = [str(bench.binaries / "pgbench"), "--no-vacuum", "--protocol=prepared", f"--file={script}"]
    command += [f"--client={writers}", "--jobs=2", f"--time={SECONDS}"]
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


def _sequence_for_ever(url: str) -> None:
    stop: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _frame: stop.append(number))
    with tempfile.TemporaryDirectory() as state:
        sequencer = Sequencer(url, Signer(Path(state) / "signer", "bench.example/log"))
        while not stop:
            sequencer.run_once()
            time.sleep(0.2)
        sequencer.close()


if __name__ == "__main__":
    _sequence_for_ever(sys.argv[1])
