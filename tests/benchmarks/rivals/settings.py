"""The product's settings with three other history packages installed beside it."""

from __future__ import annotations

from tests.settings import *  # noqa: F403

INSTALLED_APPS = [
    *INSTALLED_APPS,  # noqa: F405
    "auditlog",
    "simple_history",
    "pgtrigger",
    "pghistory",
    "tests.benchmarks.rivals.apps.RivalsConfig",
]
