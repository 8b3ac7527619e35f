"""A process that checks ranges of leaves for ``audit.verification.pool``: ``python -m audit.verification.worker``.

It speaks pickles over its standard input and output with the process that started it. It starts without the
application, which would cost more than it saves: all that it needs of the settings is sent to it.
"""

from __future__ import annotations

import os
import pickle
import sys
from dataclasses import dataclass
from typing import BinaryIO

import psycopg
from django.conf import settings


@dataclass(frozen=True, slots=True)
class Setup:
    """How a worker reads: the database, the snapshot that all share, and the database of the subjects' keys."""

    connection: dict[str, object]
    snapshot: str
    log_id: int
    keys_url: str


@dataclass(frozen=True, slots=True)
class Task:
    """One range, and the sizes inside it whose root somebody will ask for."""

    start: int
    end: int
    wanted: frozenset[int]


def join(connection: psycopg.Connection[tuple[object, ...]], snapshot: str) -> None:
    """See exactly what the exporting transaction sees, read-only."""
    connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
    connection.read_only = True
    connection.execute(f"SET TRANSACTION SNAPSHOT '{snapshot}'")


def serve(questions: BinaryIO, answers: BinaryIO) -> None:
    """Answer tasks until the other side closes. An error is an answer too: its sentence."""
    setup: Setup = pickle.load(questions)  # noqa: S301  from the process that started this one
    settings.configure(SUBJECT_KEYS_DATABASE_URL=setup.keys_url, USE_I18N=False)
    from audit.verification.ranges import check_range, prepare

    with psycopg.connect(**setup.connection, application_name="audit-verify") as connection:  # type: ignore[arg-type]
        join(connection, setup.snapshot)
        prepare(connection)
        while True:
            try:
                task: Task = pickle.load(questions)  # noqa: S301
            except EOFError:
                return
            answer = check_range(connection, setup.log_id, task.start, task.end, task.wanted)
            pickle.dump(answer, answers)
            answers.flush()


def main() -> None:
    """What is printed by mistake must not get between the answers."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    serve(sys.stdin.buffer, answers)


if __name__ == "__main__":
    # Pickles name classes by module: those of this file must be found under its name, not under «__main__».
    from audit.verification import worker

    worker.main()
