"""``manage.py story seed|check|wipe``: the demo story inside a running stack (``demo`` calls it)."""

from __future__ import annotations

import json
import time
from typing import Any

import httpx
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction

from audit import checks, log
from audit.context import request_id
from audit.models.events import Event
from audit.refusals import Conflict, Refusal
from config.story import acts, check, papers, people, wipe
from explain.models import ExplanationJob


class Command(BaseCommand):
    """Plays, proves or removes the story."""

    help = "Play the demo story (seed), prove that it is whole (check), or remove it (wipe)."

    def add_arguments(self, parser: CommandParser) -> None:
        """What to do, and where the stack's model servers answer."""
        parser.add_argument("what", choices=["seed", "check", "wipe"])
        parser.add_argument("--with-later-records", action="store_true", help="wipe what refers to the story, too")
        parser.add_argument("--endpoints", default="{}", help="JSON: endpoint name to address")

    def handle(self, *args: Any, **options: Any) -> None:
        """Dispatch; a refusal is a sentence."""
        request_id.set(wipe.REQUEST_ID)
        try:
            {"seed": self.seed, "check": self.check_story, "wipe": self.wipe}[options["what"]](options)
        except Refusal as refusal:
            raise CommandError(refusal.sentence) from refusal

    def seed(self, options: dict[str, Any]) -> None:
        """Play all acts; print the logins as JSON."""
        from registry.sources import mlflow

        if wipe.object_keys():
            wipe.wipe()  # what an interrupted start left behind
        logins = people.create()
        acts.register_environments()
        mlflow.import_all(by=people.STORY)
        acts.describe_model()
        papers.record_evidence(acts.version(3))
        acts.register_endpoints(json.loads(options["endpoints"]))
        jobs = acts.explain()
        acts.record_safeguards()
        acts.play_promotions()
        self._move_alias_by_hand()
        mlflow.import_all(by=people.STORY)
        with transaction.atomic():
            log.append(Event.STORY_SEEDED, "story:demo", facts={"model": acts.MODEL}, by=people.STORY)
        self._wait_for(jobs)
        checks.self_check()
        self.stdout.write(json.dumps({"passwords": logins.passwords, "token": logins.token}))

    def _move_alias_by_hand(self) -> None:
        """Somebody moves production's alias in MLflow without asking anybody."""
        body = {"name": acts.MODEL, "alias": "champion", "version": "3"}
        url = f"{settings.MLFLOW_TRACKING_URI}/api/2.0/mlflow/registered-models/alias"
        httpx.post(url, json=body, timeout=30).raise_for_status()

    def _wait_for(self, jobs: list[ExplanationJob]) -> None:
        deadline = time.monotonic() + 180
        while time.monotonic() < deadline:
            states = {job.pk: job.state for job in ExplanationJob.objects.filter(pk__in=[job.pk for job in jobs])}
            if all(state not in ("queued", "running") for state in states.values()):
                break
            time.sleep(0.5)
        for job in ExplanationJob.objects.filter(pk__in=[job.pk for job in jobs]):
            if job.state != "finished":
                raise CommandError(f"Explanation {job.pk} is {job.state}: {job.error or 'the worker is late'}")

    def _wait_for_mlflow(self) -> None:
        """A model that stays in MLflow would be imported again, so nothing is removed before MLflow answers."""
        deadline = time.monotonic() + 60
        while True:
            try:
                httpx.get(f"{settings.MLFLOW_TRACKING_URI}/health", timeout=5).raise_for_status()
                return
            except httpx.HTTPError as error:
                if time.monotonic() > deadline:
                    raise CommandError(
                        f"MLflow at {settings.MLFLOW_TRACKING_URI} does not answer ({error}): nothing was removed."
                    ) from error
                time.sleep(0.5)

    def check_story(self, options: dict[str, Any]) -> None:
        """One line for each fact; exit 1 when one does not hold."""
        broken = 0
        for sentence, holds in check.findings():
            self.stdout.write(f"{'ok  ' if holds else 'NOT '} {sentence}")
            broken += not holds
        if broken:
            raise CommandError(f"The story is not whole: {broken} of its facts do not hold.")

    def wipe(self, options: dict[str, Any]) -> None:
        """Remove the story here and its model in MLflow."""
        self._wait_for_mlflow()
        try:
            removed = wipe.wipe(later=options["with_later_records"])
        except Conflict as conflict:
            raise CommandError(f"{conflict.sentence} --with-later-records removes them too.") from conflict
        url = f"{settings.MLFLOW_TRACKING_URI}/api/2.0/mlflow/registered-models/delete"
        httpx.request("DELETE", url, json={"name": acts.MODEL}, timeout=30).raise_for_status()
        self.stdout.write(f"Removed {removed} records of the demo story; the log keeps its entries.")
