"""As ``explain_vs_kernel``, ours over Parquet; the naive side still posts JSON, as everybody does."""

from __future__ import annotations

from tests.benchmarks import _explaining
from tests.benchmarks.explain_vs_kernel import compare

GOAL = 110.0

if __name__ == "__main__":
    compare("explain_vs_kernel_parquet", _explaining.PARQUET, GOAL)
