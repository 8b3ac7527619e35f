"""The export of a whole log against COPY of the same entries, in the log's order, to a file of the same disk.

``manage.py bench audit_export`` uses 1,000,000 entries; ``AUDIT_EXPORT_ENTRIES=100000`` or an argument another number.
The exporter runs in a process of its own, whose peak memory is printed; both sides end with fsync, run alternately and
are compared by their fastest runs. The bundle holds the entries twice (as tiles and as lines), the COPY once.
"""

# ruff: noqa: I001  (Django is set up before the application is imported)

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psycopg

from tests.benchmarks import _server  # first: it sets Django up

from audit.exports import bundle
from audit.exports.scope import Scope
from audit.sequencer import Sequencer
from audit.signer import Signer
from config.stack import database
from tests.benchmarks.audit_fsck import fill
from tests.conftest import use_database

GOAL, MEMORY_GOAL = 3.0, 200 * 1024**2
ENTRIES = 1_000_000
ROUNDS = 3
ORIGIN = "bench.example/log"
_COPY = """COPY (SELECT e.entry FROM audit.leaf l JOIN audit.entry e ON (e.log_id, e.id) = (l.log_id, l.entry_id)
WHERE l.log_id = 1 ORDER BY l.leaf_index) TO STDOUT (FORMAT binary)"""


def copy(url: str, path: Path) -> float:
    """Seconds for the entries in order, in PostgreSQL's binary format."""
    started = time.perf_counter()
    with psycopg.connect(url) as connection, connection.cursor() as cursor, path.open("wb") as target:
        with cursor.copy(_COPY) as pieces:
            for piece in pieces:
                target.write(piece)
        target.flush()
        os.fsync(target.fileno())
    return time.perf_counter() - started


def child(url: str, signer_state: str, path: str) -> None:
    """One export in this process; prints seconds, peak memory in bytes, entries and length as JSON."""
    use_database(url)
    signer = Signer(Path(signer_state), ORIGIN)
    started = time.perf_counter()
    with Path(path).open("wb") as target:
        written = bundle.write(target, Path(path).parent, Scope(everything=True), log=1, signer=signer)
        target.flush()
        os.fsync(target.fileno())
    took = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps([took, peak, written.entries, written.length]))


def main(entries: int) -> float:
    """Fill, seal, compare; the last line is the ratio."""
    with _server.migrated_server("max_wal_size=4GB") as bench, tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        signer = Signer(folder / "signer", ORIGIN)
        sequencer = Sequencer(bench.url(database.SEQUENCER), signer)
        sequencer.run_once()
        fill(bench.url(), entries)
        sequencer.run_once()
        sequencer.close()
        signer.close()
        bench.execute("VACUUM ANALYZE")
        copies, exports, peak = [], [], 0
        for _round in range(ROUNDS):
            copies.append(copy(bench.url(), folder / "copied"))
            command = [sys.executable, "-m", "tests.benchmarks.audit_export", "--child", bench.url()]
            command += [str(folder / "signer"), str(folder / "bundle.zip")]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            took, most, written, length = json.loads(done.stdout)
            exports.append(took)
            peak = max(peak, most)
            print(f"copy {copies[-1]:.2f} s, export {took:.2f} s, {written} entries, {length / 1024**2:.0f} MB")
    print(f"peak memory of the exporter: {peak / 1024**2:.0f} MB (goal: below {MEMORY_GOAL // 1024**2} MB)")
    ratio = min(exports) / min(copies)
    print(f"audit_export ratio={ratio:.2f} goal={GOAL}")
    return ratio


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        child(*sys.argv[2:])
    else:
        main(int(sys.argv[1]) if sys.argv[1:] else int(os.environ.get("AUDIT_EXPORT_ENTRIES", ENTRIES)))
