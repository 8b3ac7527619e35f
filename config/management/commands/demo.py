"""``manage.py demo``: the whole stack with the demo story; ``--check`` proves it, ``--wipe`` removes it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from functools import partial
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from config.environment import STATE
from config.stack import database
from config.stack.failure import StackFailure
from config.stack.programs import PYTHON, ROOT
from config.stack.run import Stack, supervised
from config.stack.supervision import NOT_INHERITED, answers

#: Endpoint of the story -> the program that serves it.
SERVED = {"credit-scoring-uae": "model_a", "credit-scoring-staging": "model_b"}


class Command(BaseCommand):
    """Start everything, play the story once, and stay until Ctrl-C."""

    help = "Start the whole stack with the demo story (--check proves the story, --wipe removes it)."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        """The two questions about a story that runs already."""
        parser.add_argument("--check", action="store_true", help="prove that the story is whole, and the log verified")
        parser.add_argument("--wipe", action="store_true", help="remove the story; the log stays and still verifies")
        parser.add_argument(
            "--with-later-records",
            action="store_true",
            help="with --wipe: also what refers to it",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Dispatch."""
        if options["check"]:
            sys.exit(beside("story", "check") or beside("audit_verify"))
        if options["wipe"]:
            code = beside("story", "wipe", *(["--with-later-records"] if options["with_later_records"] else []))
            if code == 0:
                shutil.rmtree(STATE / "serving", ignore_errors=True)
            sys.exit(code or beside("audit_verify"))
        sys.exit(supervised(self.say, self.play))

    def say(self, sentence: str) -> None:
        """Print at once, even into a pipe."""
        print(sentence, flush=True)

    def play(self, stack: Stack) -> None:
        """Play the story when it was not played before, then say where and who."""
        from config.story.wipe import is_seeded

        with stack.connected_as(database.APP):
            seeded = is_seeded()
        if not seeded:
            stack.supervisor.halt("beat")  # its import from MLflow would write the story's records in its own name
            self.say("Training three model versions and logging them to MLflow …")
            train(stack)
            serve(stack)
            self.say("Playing the demo story …")
            endpoints = {name: f"http://127.0.0.1:{stack.ports[program]}" for name, program in SERVED.items()}
            logins = json.loads(
                stack.manage("story", "seed", "--endpoints", json.dumps(endpoints), capture=True).stdout
            )
            stack.supervisor.start("beat")
            self.say_logins(logins)
        if stack.account:
            self.say(stack.account)
        self.say(f"Countersign is ready at {stack.url}  (Ctrl-C stops it)")

    def say_logins(self, logins: dict[str, Any]) -> None:
        """Passwords and the token, once."""
        from config.story.people import PEOPLE
        from governance.models.roles import Role

        self.say("Logins (shown once):")
        for person in PEOPLE:
            password = logins["passwords"][person.username]
            self.say(f"  {person.username:<6} {password:<18} {person.name}, {Role(person.role).label}: {person.does}")
        self.say(f"  CI token  {logins['token']}")


def train(stack: Stack) -> None:
    """Run the training script against the stack's MLflow."""
    stack.supervisor.until("MLflow", lambda: answers(f"{stack.mlflow_url}/health"), seconds=120, log="mlflow")
    folder = stack.state.folder
    shutil.rmtree(folder / "serving", ignore_errors=True)
    environment = {**os.environ, "MLFLOW_TRACKING_URI": stack.mlflow_url, "MLFLOW_DISABLE_TELEMETRY": "true"}
    with (folder / "logs" / "training.log").open("wb") as log:
        done = subprocess.run(
            [PYTHON, "-W", "ignore", "-m", "config.story.training", "--serving", str(folder / "serving")],
            cwd=ROOT,
            env=environment,
            stdout=log,
            stderr=log,
            check=False,
            start_new_session=True,
        )
    if done.returncode:
        raise StackFailure(f"Training the demo models failed:\n{stack.supervisor.tail('training')}")


def serve(stack: Stack) -> None:
    """Start the two model servers and wait until they answer."""
    names = sorted(SERVED.values())
    stack.supervisor.add(stack.programs(), names)
    stack.supervisor.start(*names)
    for name in names:
        ready = partial(answers, f"http://127.0.0.1:{stack.ports[name]}/ping")
        stack.supervisor.until(f"the served model {name}", ready, seconds=120, log=name)


def beside(*command: str) -> int:
    """Run a command next to the started stack, as its runtime role. Returns its exit code."""
    if not (STATE / "environment.json").exists():
        raise CommandError("No stack was started here yet: run `python3 manage.py demo` first.")
    environment = {k: v for k, v in os.environ.items() if k not in NOT_INHERITED}
    return subprocess.run([PYTHON, str(ROOT / "manage.py"), *command], env=environment, check=False).returncode
