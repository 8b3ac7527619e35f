"""``up`` and ``demo``: from nothing to a running stack, and back to nothing on Ctrl-C."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg

from config.stack import database, postgres, programs
from config.stack.failure import StackFailure
from config.stack.programs import PYTHON, ROOT, Program
from config.stack.state import State, web_port
from config.stack.supervision import NOT_INHERITED, Supervisor, answers

Say = Callable[[str], None]
#: Settings of the caller that commands beside the stack need too. Secrets are not among them: they stay where they are.
PASSED_ON = (
    "WITNESS_POLICY",
    "WITNESS_MAX_AGE",
    "TIMESTAMP_URL",
    "TIMESTAMP_ROOTS",
    "CHECKPOINT_FOLDER",
    "CHECKPOINT_GIT",
    "CHECKPOINT_WEBHOOK",
    "MLFLOW_WRITE_BACK",
)


@dataclass
class Stack:
    """A stack that is being started or runs."""

    state: State
    port: int
    ports: dict[str, int]
    secrets: dict[str, str]
    supervisor: Supervisor
    say: Say
    cluster: postgres.Cluster | None = None
    #: The sentence with the first login, when this start has made it.
    account: str = ""

    @property
    def url(self) -> str:
        """Where people and CI reach it."""
        return os.environ.get("PUBLIC_URL", f"http://127.0.0.1:{self.port}")

    @property
    def admin_url(self) -> str:
        """The database administrator's URL: used to prepare the database, never by a server process."""
        if given := os.environ.get("DATABASE_URL"):
            return given
        assert self.cluster is not None  # noqa: S101  (the embedded cluster is placed when no URL is given)
        return self.cluster.url("countersign")

    @property
    def keys_admin_url(self) -> str:
        """The administrator's URL of the subjects' keys: another server of yours, or a database beside the first."""
        if given := os.environ.get("SUBJECT_KEYS_DATABASE_URL"):
            return given
        parts = urlsplit(self.admin_url)
        return urlunsplit(parts._replace(path=f"{parts.path}_keys"))

    @property
    def mlflow_url(self) -> str:
        """The tracking server: the caller's, or the embedded one."""
        return os.environ.get("MLFLOW_TRACKING_URI") or f"http://127.0.0.1:{self.ports['mlflow']}"

    def role_url(self, role: str) -> str:
        """The same database as one of our own roles."""
        return database.url_for(role, self.admin_url, self.secrets)

    def environment(self) -> dict[str, str]:
        """What every process of the stack reads (``config.environment``)."""
        valkey = f"redis://:{self.secrets['valkey']}@127.0.0.1:{self.ports['valkey']}/0"
        return {
            "SECRET_KEY": os.environ.get("SECRET_KEY") or self.secrets["secret_key"],
            "PUBLIC_URL": self.url,
            "ALLOWED_HOSTS": os.environ.get("ALLOWED_HOSTS", "127.0.0.1,localhost"),
            "DATABASE_URL": self.role_url(database.APP),
            "SEQUENCER_DATABASE_URL": self.role_url(database.SEQUENCER),
            "ERASER_DATABASE_URL": self.role_url(database.ERASER),
            "SUBJECT_KEYS_DATABASE_URL": database.url_for(database.KEYS, self.keys_admin_url, self.secrets),
            "CELERY_BROKER_URL": os.environ.get("CELERY_BROKER_URL") or valkey,
            "MLFLOW_TRACKING_URI": self.mlflow_url,
            "LOG_ORIGIN": os.environ.get("LOG_ORIGIN", f"countersign.local/{self.secrets['log']}/main"),
            "SIGNER_ADDRESS": f"127.0.0.1:{self.ports['signer']}",
            "SIGNER_SECRET_FILE": str(self.state.folder / "secrets" / "signer"),
            "SIGNER_STATE_DIR": str(self.state.folder / "signer"),
            "ATTESTATION_KEY_FILE": str(self.state.folder / "secrets" / "attestation"),
            **{name: os.environ[name] for name in PASSED_ON if os.environ.get(name)},
        }

    def programs(self) -> list[Program]:
        """Every process that this stack runs."""
        folder = self.state.folder
        chosen = [*programs.log_processes(), programs.web(folder, self.port), *programs.workers()]
        if self.cluster:
            chosen.append(programs.postgres(self.cluster))
        if not os.environ.get("CELERY_BROKER_URL"):
            chosen.append(programs.valkey(folder, self.ports["valkey"], self.secrets["valkey"]))
        if not os.environ.get("MLFLOW_TRACKING_URI"):
            chosen.append(programs.mlflow(folder, self.ports["mlflow"]))
        for name in ("model_a", "model_b"):
            model = folder / "serving" / name
            if model.is_symlink() or model.exists():
                chosen.append(programs.served_model(name, model, self.ports[name]))
        return chosen

    def has(self, name: str) -> bool:
        """Whether this stack runs the named program itself."""
        return any(program.name == name for program in self.programs())

    def manage(self, *arguments: str, capture: bool = False) -> subprocess.CompletedProcess[str]:
        """Run a management command as the runtime role. Raises StackFailure when it fails."""
        environment = {k: v for k, v in os.environ.items() if k not in NOT_INHERITED}
        environment["COUNTERSIGN_STATE"] = str(self.state.folder)
        done = subprocess.run(
            [PYTHON, str(ROOT / "manage.py"), *arguments],
            env=environment,
            text=True,
            check=False,
            start_new_session=True,
            stdout=subprocess.PIPE if capture else None,
        )
        if done.returncode:
            raise StackFailure(f"`manage.py {' '.join(arguments)}` failed (exit {done.returncode}).")
        return done

    @contextmanager
    def connected_as(self, role: str) -> Iterator[None]:
        """Django's default connection of this very process as one of our own roles, closed afterwards."""
        from django.db import connections
        from psycopg.conninfo import conninfo_to_dict

        parts = conninfo_to_dict(self.role_url(role))
        names = {"dbname": "NAME", "user": "USER", "password": "PASSWORD", "host": "HOST", "port": "PORT"}
        given = {django: str(parts.pop(ours, "") or "") for ours, django in names.items()}
        connections["default"].settings_dict.update({**given, "OPTIONS": parts})
        try:
            yield
        finally:
            connections["default"].close()


def assemble(say: Say) -> tuple[Stack, Any]:
    """Check the machine and gather what the stack needs, without starting anything. Returns it and its lock."""
    state = State(Path(os.environ.get("COUNTERSIGN_STATE", ROOT / ".state")).resolve())
    lock = state.prepare()
    _stop_leftover(state.folder, say)
    port = web_port()
    secrets, ports = state.secrets(), state.ports()
    supervisor = Supervisor(state.folder, ports["control"], secrets["control"])
    stack = Stack(state, port, ports, secrets, supervisor, say)
    if not os.environ.get("DATABASE_URL"):
        stack.cluster = postgres.place(state.folder, port=ports["postgres"], password=secrets["postgres"])
        if stack.cluster.user:
            home = stack.cluster.data.parent
            say(f"You are root: PostgreSQL refuses root, so it runs as {stack.cluster.user} in {home}.")
    return stack, lock


def start(stack: Stack) -> None:
    """Bring up everything in order: storage, schema, the log's processes, the web server, then the rest."""
    if stack.cluster:
        if not (stack.cluster.data / "PG_VERSION").exists():
            stack.say("Creating the database …")
        stack.cluster.initialise()
    stack.state.write_secret(stack.state.folder / "environment.json", json.dumps(stack.environment(), indent=1))
    supervisor = stack.supervisor
    supervisor.launch(stack.programs())
    storage = [name for name in ("postgres", "valkey") if stack.has(name)]
    supervisor.start(*storage)
    if stack.cluster:
        supervisor.until("PostgreSQL", lambda: _accepts(stack.cluster), seconds=60, log="postgres")
        _ensure_database(stack.cluster)
    migrate(stack)
    supervisor.start("signer", "sequencer", "web")
    stack.account = stack.manage("first_account", capture=True).stdout.strip()  # while the web server gets up
    supervisor.until("the web server", lambda: answers(f"http://127.0.0.1:{stack.port}/readyz"), seconds=120, log="web")
    others = [name for name in ("mlflow", "model_a", "model_b") if stack.has(name)]
    supervisor.start("worker", "beat", "publisher", *others)


def migrate(stack: Stack) -> None:
    """Prepare roles and apply migrations as the owner; the only time that the owner's password is used."""
    from django.core.management import call_command

    database.provision(stack.admin_url, stack.secrets)
    if not os.environ.get("SUBJECT_KEYS_DATABASE_URL"):
        database.create_keys_database(stack.admin_url, urlsplit(stack.keys_admin_url).path.strip("/"))
    database.provision_keys(stack.keys_admin_url, stack.secrets)
    with stack.connected_as(database.OWNER):
        call_command("migrate", verbosity=0)


def wait_for_interrupt(stack: Stack) -> None:
    """Stay until Ctrl-C or SIGTERM; end with a sentence when the process manager dies."""
    while stack.supervisor.process and stack.supervisor.process.poll() is None:
        time.sleep(0.5)
    raise StackFailure(f"The process manager ended by itself.\n{stack.supervisor.tail('supervisord')}")


def supervised(say: Say, work: Callable[[Stack], None]) -> int:
    """Assemble, start, do ``work`` and stay; always stop every child. Returns the exit code."""
    stack, lock = None, None
    try:
        stack, lock = assemble(say)
        start(stack)
        work(stack)
        wait_for_interrupt(stack)
    except StackFailure as failure:
        print(f"countersign: {failure}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"countersign: {error.strerror or error} ({error.filename or 'no file'}).", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        say("Stopping …")
    finally:
        if stack:
            stack.supervisor.stop()
        if lock:
            lock.close()
    return 0


def _accepts(cluster: postgres.Cluster | None) -> bool:
    try:
        psycopg.connect(cluster.url() if cluster else "", connect_timeout=2).close()
    except psycopg.OperationalError:
        return False
    return True


def _ensure_database(cluster: postgres.Cluster) -> None:
    with psycopg.connect(cluster.url(), autocommit=True) as connection:
        if not connection.execute("SELECT 1 FROM pg_database WHERE datname = 'countersign'").fetchone():
            connection.execute("CREATE DATABASE countersign")


def _stop_leftover(folder: Path, say: Say) -> None:
    """End the supervisord of an earlier start from this folder that was killed without its children."""
    pid_file = folder / "supervisord.pid"
    try:
        pid = int(pid_file.read_text())
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except (OSError, ValueError):
        return
    if str(folder / "supervisord.conf").encode() not in command:
        return
    say("Stopping what an earlier start left behind …")
    os.kill(pid, signal.SIGTERM)
    for _ in range(400):
        if not Path(f"/proc/{pid}").exists():
            return
        time.sleep(0.1)
    raise StackFailure(f"An earlier start is still running as process {pid} and does not stop; end it first.")
