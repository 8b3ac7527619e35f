"""From COMMIT to the signed checkpoint, 99th percentile with 32 writers, over the sequencer's poll interval.

PostgreSQL's own commit timestamps are compared with the time at which the first checkpoint that covers the entry was
stored: one clock. The first two seconds fill caches and do not count. The ratio is measured with the writers going as
fast as both cores let them; what they see at a quarter of that rate is printed before it.
"""

from __future__ import annotations

import statistics
import tempfile

import psycopg

from tests.benchmarks import _appending as appending  # sets Django up, so it comes first
from tests.benchmarks._server import Bench, migrated_server

# isort: split
from audit.management.commands.audit_sequencer import POLL

GOAL = 1.0
SECONDS = 10
_LATENCIES = """
    SELECT extract(epoch FROM c.created_at - pg_xact_commit_timestamp(e.txid::text::xid))::float8
    FROM audit.entry e JOIN audit.leaf l ON (l.log_id, l.entry_id) = (e.log_id, e.id)
    CROSS JOIN LATERAL (SELECT created_at FROM audit.checkpoint WHERE log_id = 1 AND size > l.leaf_index
                        ORDER BY size LIMIT 1) c
    WHERE e.object_key LIKE 'governed_row/%%' AND e.id > %(after)s AND e.created_at > (
        SELECT min(created_at) + interval '2 seconds' FROM audit.entry
        WHERE object_key LIKE 'governed_row/%%' AND id > %(after)s)
"""


def latencies(bench: Bench, rate: int = 0) -> tuple[float, list[float]]:
    """Transactions a second, and seconds from COMMIT to the checkpoint of each entry."""
    with psycopg.connect(bench.admin_url) as connection:
        after = connection.execute("SELECT coalesce(max(id), 0) FROM audit.entry").fetchone()
        assert after is not None
    with tempfile.TemporaryDirectory() as folder:
        written = appending.script(folder, "governed_row", "audit.entry")
        reached = appending.transactions_per_second(bench, written, appending.WRITERS, SECONDS, rate=rate)
    appending.until_signed(bench)
    with psycopg.connect(bench.admin_url) as connection:
        return reached, [row[0] for row in connection.execute(_LATENCIES, {"after": after[0]})]


def told(reached: float, found: list[float]) -> float:
    """Print one run; returns its 99th percentile in seconds."""
    cuts = [1000 * cut for cut in statistics.quantiles(found, n=100)]
    print(
        f"{reached:.0f} transactions/s by {appending.WRITERS} writers, {len(found)} entries:"
        f" p50 {cuts[49]:.0f} ms, p95 {cuts[94]:.0f} ms, p99 {cuts[98]:.0f} ms",
        flush=True,
    )
    return cuts[98] / 1000


def main() -> None:
    """Write for ten seconds with everything running, once at full speed and once at a quarter of it."""
    with migrated_server("max_wal_size=8GB", "checkpoint_timeout=1h", "track_commit_timestamp=on") as bench:
        bench.execute(appending.TABLES)
        with appending.sequencing(bench):
            full, found = latencies(bench)
            worst = told(full, found)
            told(*latencies(bench, rate=round(full / 4)))
    print(f"audit_seal ratio={worst / POLL:.2f} goal={GOAL}")


if __name__ == "__main__":
    main()
