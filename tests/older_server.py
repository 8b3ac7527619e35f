"""What the run on an older PostgreSQL takes of ``tests/audit``, and what it leaves out and why: a plug-in of pytest."""

from __future__ import annotations

import json
import os
from pathlib import Path

import psycopg
import pytest

#: Where the plug-in writes what it ran, for the test that started the run.
REPORT = "OLDER_SERVER_REPORT"
_OWN = "kills or damages a server of its own, which is always the embedded one"
_BYTES = "tries the bytes of a bundle on its verifier, which knows no server"
#: A file or a test, and the reason.
LEFT_OUT = {
    "test_a_bit_that_flips_on_the_disk_is_never_verified": _OWN,
    "test_a26_power_and_disk.py": _OWN,
    "test_no_byte_can_be_flipped_unseen": _BYTES,
    "test_foreign_damaged_and_hostile_files_end_with_a_clear_verdict": _BYTES,
}
_SERVER = {"postgres_server", "db", "transactional_db", "django_db_setup"}


class Taken:
    """Counts, for the report."""

    ran = 0
    without_server = 0


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what is named above, and what reaches no server: that is the same on all of them."""
    unknown = {name for name in LEFT_OUT if not any(name in item.nodeid for item in items)}
    if unknown:
        raise pytest.UsageError(f"tests/older_server.py names tests that do not exist: {', '.join(sorted(unknown))}")
    named = [item for item in items if any(name in item.nodeid for name in LEFT_OUT)]
    elsewhere = [item for item in items if item not in named and not _reaches_a_server(item)]
    items[:] = [item for item in items if item not in named and item not in elsewhere]
    config.hook.pytest_deselected(items=[*named, *elsewhere])
    Taken.without_server = len(elsewhere)


def _reaches_a_server(item: pytest.Item) -> bool:
    fixtures = set(getattr(item, "fixturenames", ()))
    return bool(fixtures & _SERVER) or item.get_closest_marker("django_db") is not None


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Count what really passed."""
    if report.when == "call" and report.passed:
        Taken.ran += 1


def pytest_sessionfinish() -> None:
    """Write the report: the server says its version itself."""
    with psycopg.connect(os.environ["TEST_DATABASE_ADMIN_URL"]) as connection:
        version = connection.execute("SHOW server_version").fetchone()
    told = {"version": version[0] if version else "", "passed": Taken.ran, "no_server": Taken.without_server}
    Path(os.environ[REPORT]).write_text(json.dumps(told))
