"""As ``audit_append``, with 5 ms of the application's work between the entry and COMMIT, as a view has it."""

from __future__ import annotations

from tests.benchmarks._appending import compare, report

if __name__ == "__main__":
    report("audit_append_work", compare(milliseconds_of_work=5), goal=0.95)
