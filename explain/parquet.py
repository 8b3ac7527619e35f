"""The results of a job as an Apache Parquet file."""

from __future__ import annotations

import json
from collections.abc import Sequence

from explain.models import ExplanationJob, ExplanationRow

MEDIA_TYPE = "application/vnd.apache.parquet"


def parquet_of(job: ExplanationJob, rows: Sequence[ExplanationRow]) -> bytes:
    """``row_id``, ``phi.<column>`` and ``se.<column>`` for each column, then what the result says of the row.

    A row with a problem, or an erased one, has nulls. Metadata: subject, receipt digest, method, output.
    """
    import pyarrow as pa  # 30 MB that a web process needs for this answer only
    from pyarrow import parquet

    columns = {"row_id": pa.array([row.row_id for row in rows], pa.string())}
    for kind in ("phi", "se"):
        values = [getattr(row, kind) for row in rows]
        for j, name in enumerate(job.names):
            cells = [each[j] if j < len(each) else None for each in values]
            columns[f"{kind}.{name}"] = pa.array(cells, pa.float64())
    for name, kind_of in (
        ("base", pa.float64()),
        ("fx", pa.float64()),
        ("residual", pa.float64()),
        ("evals", pa.int64()),
        ("rounds", pa.int64()),
        ("converged", pa.bool_()),
        ("certain", pa.int64()),
        ("problem", pa.string()),
        ("digest", pa.string()),
        ("erased", pa.bool_()),
    ):
        columns[name] = pa.array([getattr(row, name) for row in rows], kind_of)
    about = {
        "explanation": job.subject,
        "receipt_digest": job.receipt_digest,
        "version": job.version.subject,
        "version_digest": job.digest,
        "method": job.method,
        "output": json.dumps(job.output, ensure_ascii=False),
    }
    table = pa.table(columns).replace_schema_metadata({f"countersign.{key}": value for key, value in about.items()})
    sink = pa.BufferOutputStream()
    parquet.write_table(table, sink, compression="zstd")
    return bytes(sink.getvalue())
