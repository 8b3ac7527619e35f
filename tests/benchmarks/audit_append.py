"""32 writers: a governed row and its entry, with completeness and the sequencer running, against plain INSERTs."""

from __future__ import annotations

from tests.benchmarks._appending import compare, report

if __name__ == "__main__":
    report("audit_append", compare(), goal=0.75)
