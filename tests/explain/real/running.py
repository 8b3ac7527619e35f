"""Starting a real server and stopping all of its processes; how to start each of the seven."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tests.explain.real.adult import COLUMNS
from tests.explain.real.environments import CannotMake, Environment, prepare

PROGRAMS = Path(__file__).parent / "programs"
#: Debian's interpreter: the one that Triton's backend embeds must find its own standard library (3.11.2; with 3.11.7
#: it dies with «RLock has no _recursion_count»).
SYSTEM_PYTHON = "/usr/bin/python3.11"
#: Seconds until a server must be ready: Ray needs 30 alone on this machine, and the suite keeps both cores busy.
START = 180
#: Seconds that a server may take to end by itself.
END = 15
#: No server tells its maker that it ran, and none uses more threads than it has rows for.
QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "BENTOML_DO_NOT_TRACK": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
    "OMP_NUM_THREADS": "1",
    "PYTHONDONTWRITEBYTECODE": "",
}


@dataclass(frozen=True)
class Running:
    """A server that answers: its address, and the seconds that its installation and its start took."""

    url: str
    installed: float
    started: float


def ports(count: int) -> list[int]:
    """Free ports of the loopback interface, all different."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [int(each.getsockname()[1]) for each in sockets]


def surroundings(environment: Environment, **more: str) -> dict[str, str]:
    """The variables of a server's process: nothing of this project's settings, the environment's commands first."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("DJANGO", "COUNTERSIGN", "PYTHON", "COV_"))}
    path = f"{environment.scripts}{os.pathsep}{kept.get('PATH', '')}"
    return {**kept, **QUIET, "PATH": path, "PYTHONPATH": str(PROGRAMS), **more}


def run(environment: Environment, *arguments: object) -> None:
    """Run a program in the environment to its end. Raises ``CalledProcessError`` with what it wrote."""
    command = [str(environment.python), *map(str, arguments)]
    done = subprocess.run(command, env=surroundings(environment), capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}")


@contextmanager
def started(
    environment: Environment, command: list[object], ready: str, *, folder: Path, **variables: str
) -> Iterator[float]:
    """Run ``command`` in ``folder`` until the block ends; gives the seconds until ``ready`` answered 200.

    Every process of the server is ended, workers too. Raises ``RuntimeError`` with its log when it does not start.
    """
    log = folder / "server.log"
    began = time.monotonic()
    with log.open("wb") as sink:
        process = subprocess.Popen(
            [str(part) for part in command],
            env=surroundings(environment, **variables),
            cwd=folder,
            stdout=sink,
            stderr=sink,
            start_new_session=True,
        )
    try:
        _wait(ready, process, log)
        yield time.monotonic() - began
    finally:
        _end(process)


def _wait(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    latest = time.monotonic() + START
    while time.monotonic() < latest:
        try:
            with urllib.request.urlopen(url, timeout=2) as answer:
                if answer.status == 200:
                    return
        except OSError:
            if process.poll() is not None:
                break
        time.sleep(0.1)
    raise RuntimeError(f"{url} was never ready:\n{log.read_text(errors='replace')[-5000:]}")


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ask the server to end, then kill what is left of its session: Ray's workers have process groups of their own."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(END)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(END)
    for pid in _session(process.pid):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _session(leader: int) -> list[int]:
    """The processes of the session that ``leader`` began, itself left out."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            # "pid (name) state parent group session …", and a name may hold spaces and brackets
            fields = stat.read_text(errors="replace").rpartition(")")[2].split()
            if int(fields[3]) == leader and int(stat.parent.name) != leader:
                found.append(int(stat.parent.name))
    return found


@contextmanager
def mlflow(model: Path, folder: Path, *, answers: str = "probabilities") -> Iterator[Running]:
    """``mlflow models serve``; ``answers``: probabilities, or labels (the XGBoost flavour as it comes)."""
    environment = prepare("mlflow")
    run(environment, PROGRAMS / "save_mlflow.py", model, folder / "model", answers, *COLUMNS)
    with _mlflow(environment, folder) as running:
        yield running


@contextmanager
def mlflow_pipeline(rows: Path, folder: Path) -> Iterator[Running]:
    """``mlflow models serve`` of a pipeline on text with gaps, trained on the CSV file ``rows``."""
    environment = prepare("mlflow")
    run(environment, PROGRAMS / "save_mlflow_pipeline.py", rows, folder / "model")
    with _mlflow(environment, folder) as running:
        yield running


@contextmanager
def _mlflow(environment: Environment, folder: Path) -> Iterator[Running]:
    (port,) = ports(1)
    command = [environment.scripts / "mlflow", "models", "serve", "-m", folder / "model", "-h", "127.0.0.1"]
    command += ["-p", port, "--env-manager", "local"]
    url = f"http://127.0.0.1:{port}"
    with started(environment, command, f"{url}/ping", folder=folder) as seconds:
        yield Running(f"{url}/invocations", environment.seconds, seconds)


@contextmanager
def mlserver(model: Path, folder: Path) -> Iterator[Running]:
    """``mlserver start`` with its XGBoost runtime, in one process."""
    environment = prepare("mlserver")
    http, grpc, metrics = ports(3)
    shutil.copy(model, folder / model.name)
    server = {"host": "127.0.0.1", "http_port": http, "grpc_port": grpc, "metrics_port": metrics}
    server |= {"parallel_workers": 0, "metrics_endpoint": None}
    (folder / "settings.json").write_text(json.dumps(server))
    settings = {"name": "adult", "implementation": "mlserver_xgboost.XGBoostModel"}
    settings["parameters"] = {"uri": f"./{model.name}", "version": "v1"}
    (folder / "model-settings.json").write_text(json.dumps(settings))
    url = f"http://127.0.0.1:{http}/v2/models/adult"
    command = [environment.scripts / "mlserver", "start", folder]
    with started(environment, command, f"{url}/ready", folder=folder) as seconds:
        yield Running(f"{url}/infer", environment.seconds, seconds)


@contextmanager
def kserve(model: Path, folder: Path) -> Iterator[Running]:
    """KServe's own server with a model class; the address is the one of V2, V1 is on the same port."""
    environment = prepare("kserve")
    http, grpc = ports(2)
    command = [environment.python, PROGRAMS / "serve_kserve.py", model, "--model_name=adult"]
    command += [f"--http_port={http}", f"--grpc_port={grpc}"]
    root = f"http://127.0.0.1:{http}"
    with started(environment, command, f"{root}/v2/health/ready", folder=folder) as seconds:
        yield Running(f"{root}/v2/models/adult/infer", environment.seconds, seconds)


@contextmanager
def triton(model: Path, folder: Path) -> Iterator[Running]:
    """NVIDIA's Triton by way of pytriton. Raises ``CannotMake`` where Debian's Python 3.11 is not installed."""
    if not Path(SYSTEM_PYTHON).exists():
        raise CannotMake(f"Triton's Python backend runs under {SYSTEM_PYTHON} only, and it is not installed.")
    environment = prepare("triton", python=SYSTEM_PYTHON)
    numbers = ports(3)
    command = [environment.python, PROGRAMS / "serve_triton.py", model, *numbers]
    url = f"http://127.0.0.1:{numbers[0]}/v2/models/adult"
    with started(environment, command, f"{url}/ready", folder=folder) as seconds:
        yield Running(f"{url}/infer", environment.seconds, seconds)


@contextmanager
def bentoml(model: Path, folder: Path) -> Iterator[Running]:
    """``bentoml serve``."""
    environment = prepare("bentoml")
    (port,) = ports(1)
    command = [environment.scripts / "bentoml", "serve", "serve_bentoml:Adult", "--host", "127.0.0.1", "--port", port]
    url = f"http://127.0.0.1:{port}"
    variables = {"MODEL": str(model), "BENTOML_HOME": str(folder / "bentoml")}
    with started(environment, command, f"{url}/readyz", folder=folder, **variables) as seconds:
        yield Running(f"{url}/predict", environment.seconds, seconds)


@contextmanager
def ray(model: Path, folder: Path) -> Iterator[Running]:
    """Ray Serve on a Ray of its own."""
    environment = prepare("ray")
    (port,) = ports(1)
    command = [environment.python, PROGRAMS / "serve_ray.py", model, port, folder / "ray"]
    url = f"http://127.0.0.1:{port}"
    # Ray's own processes speak over ports on all interfaces, which nothing can move: nobody else has this token
    variables = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    with started(environment, command, f"{url}/-/healthz", folder=folder, **variables) as seconds:
        yield Running(f"{url}/", environment.seconds, seconds)


@contextmanager
def seldon(model: Path, folder: Path) -> Iterator[Running]:
    """Seldon's Python wrapper of version 1."""
    environment = prepare("seldon")
    http, grpc, metrics = map(str, ports(3))
    command = [environment.scripts / "seldon-core-microservice", "SeldonAdult", "--service-type", "MODEL"]
    variables = {"MODEL": str(model), "PREDICTIVE_UNIT_HTTP_SERVICE_PORT": http}
    variables |= {"PREDICTIVE_UNIT_GRPC_SERVICE_PORT": grpc, "PREDICTIVE_UNIT_METRICS_SERVICE_PORT": metrics}
    url = f"http://127.0.0.1:{http}"
    with started(environment, command, f"{url}/health/ping", folder=folder, **variables) as seconds:
        yield Running(f"{url}/api/v1.0/predictions", environment.seconds, seconds)
