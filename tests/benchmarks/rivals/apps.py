"""Where the benchmark's tables are declared."""

from __future__ import annotations

from django.apps import AppConfig


class RivalsConfig(AppConfig):
    name = "tests.benchmarks.rivals"
    label = "rivals"
    default_auto_field = "django.db.models.BigAutoField"
