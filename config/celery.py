"""The Celery application; tasks live in each app's ``tasks.py``."""

from __future__ import annotations

import os
from typing import Any

from celery import Celery
from celery.signals import task_prerun, worker_process_init

from audit.context import request_id

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

app = Celery("countersign")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@task_prerun.connect  # type: ignore[untyped-decorator]
def _name_the_cause(task_id: str = "", **_: Any) -> None:
    """Entries that a task writes carry the task's id where a request's would stand."""
    request_id.set(f"task:{task_id}")


@worker_process_init.connect  # type: ignore[untyped-decorator]
def _refuse_the_owner(**_: Any) -> None:
    """A worker that could rewrite the log must not start."""
    from audit.checks import check_posture
    from audit.posture import refuse_if_owner

    refuse_if_owner()
    check_posture()


@worker_process_init.connect  # type: ignore[untyped-decorator]
def _settle(**_: Any) -> None:
    from explain import interpreter

    interpreter.settle()
