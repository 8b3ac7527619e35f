"""Artifacts are opened in a process that has nothing to steal and nowhere to send it, and their values are exact."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skops.io
import xgboost
import yaml
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from explain.isolated import message
from explain.isolated import run as isolated

ROOT = Path(__file__).resolve().parents[2]
COLUMNS = [f"c{j}" for j in range(5)]


@pytest.fixture(scope="module")
def data() -> tuple[np.ndarray, np.ndarray]:
    rows = np.random.default_rng(6).normal(size=(400, 5))
    return rows, (rows[:, 0] * rows[:, 1] + rows[:, 2] > 0).astype(int)


@pytest.fixture
def allowed(settings: Any) -> None:
    settings.ALLOW_PICKLED_ARTIFACTS = True


def saved(model: Any, path: Path) -> Path:
    skops.io.dump(model, path)
    return path


def refusal(artifact: Path, rows: np.ndarray | None = None, columns: list[str] = COLUMNS) -> isolated.Unloadable:
    with pytest.raises(isolated.Unloadable) as caught:
        isolated.predict(artifact, np.zeros((2, len(columns))) if rows is None else rows, columns)
    assert caught.value.sentence
    return caught.value


def test_xgboost_is_exact_on_the_margin_and_every_measure_holds(data: Any, tmp_path: Path) -> None:
    rows, target = data
    model = xgboost.XGBClassifier(n_estimators=60, max_depth=5).fit(rows, target)
    model.save_model(tmp_path / "m.ubj")
    made = isolated.explain("tree", tmp_path / "m.ubj", rows[:12], rows[100:250], COLUMNS)
    assert made.failed == ()
    assert made.scale == "log_odds"
    assert made.isolation == ("limits", "network_namespace", "file_rules", "audit_hook")
    margins = model.predict(rows, output_margin=True)
    assert made.fx == pytest.approx(margins[:12], abs=1e-5)
    assert made.base == pytest.approx(margins[100:250].mean(), abs=1e-5)  # all 150 rows, not shap's first 100
    assert np.abs(made.base + made.phi.sum(axis=1) - made.fx).max() < 1e-6
    other = isolated.explain("tree", tmp_path / "m.ubj", rows[:2], rows[100:250], COLUMNS, output=0)
    assert other.phi == pytest.approx(-made.phi[:2])  # the first class has the opposite log-odds
    assert isolated.predict(tmp_path / "m.ubj", rows[:5], COLUMNS) == pytest.approx(
        model.predict_proba(rows[:5]), abs=1e-6
    )


def test_a_forest_saved_with_skops_by_mlflow_is_exact_on_the_probability(data: Any, tmp_path: Path) -> None:
    rows, target = data
    model = RandomForestClassifier(15, max_depth=5, random_state=1).fit(rows, target)
    saved(model, tmp_path / "model.skops")
    flavor = {"pickled_model": "model.skops", "serialization_format": "skops"}
    (tmp_path / "MLmodel").write_text(yaml.safe_dump({"flavors": {"sklearn": flavor}}))
    made = isolated.explain("tree", tmp_path, rows[:6], rows[50:90], COLUMNS, output=1)
    assert made.failed == ()
    assert made.scale == "probability"
    assert made.fx == pytest.approx(model.predict_proba(rows[:6])[:, 1], abs=1e-12)


def test_linear_models_are_analytic_through_columnwise_steps(data: Any, tmp_path: Path) -> None:
    rows, target = data
    pipeline = make_pipeline(StandardScaler(), LogisticRegression()).fit(rows * [1, 10, 100, 1, 1], target)
    given = rows * [1, 10, 100, 1, 1]
    made = isolated.explain("linear", saved(pipeline, tmp_path / "m.skops"), given[:6], given[50:90], COLUMNS)
    weights = pipeline[-1].coef_[0] / pipeline[0].scale_
    assert np.abs(made.phi - weights * (given[:6] - given[50:90].mean(axis=0))).max() < 1e-12
    assert made.scale == "log_odds"


def test_coefficients_in_a_file_are_enough(tmp_path: Path) -> None:
    path = tmp_path / "weights.json"
    path.write_text(json.dumps({"coefficients": [2.0, -1.0], "intercept": 3.0, "columns": ["b", "a"]}))
    rows, background = np.array([[1.0, 5.0]]), np.array([[0.0, 1.0], [2.0, 3.0]])
    made = isolated.explain("linear", path, rows, background, ["a", "b"])  # the model's columns stand the other way
    assert made.phi.tolist() == [[0.0, 6.0]]
    assert made.base + made.phi.sum() == made.fx[0] == 12.0


def test_columns_are_matched_by_name(data: Any, tmp_path: Path) -> None:
    import pandas as pd

    rows, target = data
    model = GradientBoostingClassifier(n_estimators=10).fit(pd.DataFrame(rows, columns=COLUMNS), target)
    path = saved(model, tmp_path / "m.skops")
    straight = isolated.explain("tree", path, rows[:4], rows[50:80], COLUMNS)
    turned = isolated.explain("tree", path, rows[:4, ::-1], rows[50:80, ::-1], COLUMNS[::-1])
    assert turned.phi.tolist() == straight.phi[:, ::-1].tolist()
    assert straight.failed == ()
    assert refusal(path, columns=["c0", "c1", "c2", "c3", "other"]).code == "artifact.other_columns"
    assert refusal(path, columns=COLUMNS[:4]).code == "artifact.other_columns"


def test_what_mixes_columns_or_is_another_model_is_left_to_the_endpoint(data: Any, tmp_path: Path) -> None:
    rows, target = data
    mixing = make_pipeline(ColumnTransformer([("a", StandardScaler(), [1, 0, 2])]), LinearRegression())
    assert refusal(saved(mixing.fit(rows, target), tmp_path / "a.skops")).code == "artifact.not_columnwise"
    neighbours = KNeighborsClassifier().fit(rows, target)
    assert refusal(saved(neighbours, tmp_path / "b.skops")).code in (
        "artifact.untrusted_types",
        "artifact.unsupported_model",
    )
    linear = saved(LinearRegression().fit(rows, target), tmp_path / "c.skops")
    with pytest.raises(isolated.Unloadable, match="another kind"):
        isolated.explain("tree", linear, rows[:2], rows[:9], COLUMNS)


def test_a_function_in_a_skops_file_is_not_trusted(data: Any, tmp_path: Path) -> None:
    rows, target = data
    model = make_pipeline(FunctionTransformer(subprocess.call), LinearRegression())
    model.steps[1] = ("l", LinearRegression().fit(rows, target))
    assert refusal(saved(model, tmp_path / "m.skops")).code == "artifact.untrusted_types"


@pytest.mark.parametrize("name", ["m.json", "m.ubj", "m.skops", "m.onnx", "nothing.json"])
def test_garbage_is_refused_with_a_sentence(tmp_path: Path, name: str) -> None:
    if name != "nothing.json":
        (tmp_path / name).write_bytes(b'{"learner": 1' + bytes(range(256)))
    assert refusal(tmp_path / name).code.startswith("artifact.")


def test_an_mlmodel_that_points_elsewhere_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "other.ubj").write_bytes(b"")
    (tmp_path / "model" / "MLmodel").write_text(yaml.safe_dump({"flavors": {"xgboost": {"data": "../other.ubj"}}}))
    assert refusal(tmp_path / "model").code == "artifact.unreadable"


class Evil:
    """A pickle that runs ``code`` when it is opened."""

    def __init__(self, code: str) -> None:
        self.code = code

    def __reduce__(self) -> tuple[Any, ...]:
        return exec, (self.code,)


def evil(code: str, folder: Path) -> Path:
    path = folder / "evil.pkl"
    path.write_bytes(pickle.dumps(Evil(code)))
    return path


def test_a_pickle_is_not_opened_unless_the_operator_allows_it(tmp_path: Path) -> None:
    path = evil(f"open({str(tmp_path / 'opened')!r}, 'w')", tmp_path)
    found = refusal(path)
    assert found.code == "artifact.pickled"
    assert "ALLOW_PICKLED_ARTIFACTS" in found.sentence
    assert not (tmp_path / "opened").exists()


@pytest.mark.parametrize(
    "code",
    [
        "import socket; socket.create_connection(('127.0.0.1', 9))",
        "import os; os.system('true')",
        "import subprocess; subprocess.run(['true'])",
        "import os; os.fork()",
        "import os; os.execv('/bin/true', ['true'])",
        "open('SECRET').read()",
        "open('/proc/%d/environ' % __import__('os').getppid()).read()",
        "open('FOLDER/written', 'w').write('x')",
        "import ctypes; ctypes.CDLL('libm.so.6')",
    ],
)
@pytest.mark.usefixtures("allowed")
def test_what_a_pickle_tries_is_refused(code: str, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("password")
    path = evil(code.replace("SECRET", str(tmp_path / "secret")).replace("FOLDER", str(tmp_path)), tmp_path)
    found = refusal(path)
    assert found.code in ("artifact.forbidden", "artifact.failed")
    assert "allowed" in found.sentence or "ermission" in found.sentence
    assert not (tmp_path / "written").exists()


@pytest.mark.usefixtures("allowed")
def test_there_is_no_secret_in_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_KEY", "do-not-tell")
    found = refusal(evil("raise RuntimeError(','.join(__import__('os').environ))", tmp_path))
    names = found.sentence.split("RuntimeError: ")[1].rstrip(".").split(",")
    assert set(names) - {"LC_CTYPE"} <= {"PATH", "LANG", "OMP_NUM_THREADS", "HOME", "TMPDIR", "MPLCONFIGDIR"} | {
        name
        for name in names
        if name.startswith("KMP_")  # set by OpenMP itself
    }


@pytest.mark.usefixtures("allowed")
def test_a_pickle_that_never_ends_or_eats_memory_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert refusal(evil("bytearray(1 << 40)", tmp_path)).code == "artifact.failed"
    assert refusal(evil("import os; os._exit(3)", tmp_path)).code == "artifact.ended"
    assert refusal(evil("import os; os.write(1, b'x' * 99); os._exit(0)", tmp_path)).code == "artifact.garbled"
    monkeypatch.setattr(isolated, "LONGEST", 6)
    assert refusal(evil("while True: pass", tmp_path)).code in ("artifact.slow", "artifact.ended")


def test_a_process_cannot_vouch_for_values_that_do_not_add_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    header = {"isolation": ["limits"], "base": 0.0, "failed": [], "scale": "raw"}
    forged = message.unpack(message.pack(header, {"phi": np.ones((1, 2)), "fx": np.array([5.0])}))
    monkeypatch.setattr(isolated, "_ask", lambda *given: forged)
    with pytest.raises(isolated.Unloadable):
        isolated.explain("tree", tmp_path, np.zeros((1, 2)), np.zeros((3, 2)), ["a", "b"])


def confined(code: str, folder: Path, *, files: bool = True) -> str:
    """What ``code`` prints under the kernel's measures alone, without the audit hook."""
    start = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r})\n"
        "import socket, os\nfrom pathlib import Path\nfrom explain.isolated import confining\n"
        "print(confining.leave_network())\n"
    )
    if files:
        start += f"print(confining.restrict_files([Path('/usr')], Path({str(folder)!r})))\n"
    done = subprocess.run(
        [sys.executable, "-I", "-c", start + code], capture_output=True, text=True, timeout=60, check=False
    )
    return done.stdout + done.stderr


def test_the_kernel_itself_refuses_files_and_network(tmp_path: Path) -> None:
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    inside.mkdir()
    outside.write_text("secret")
    assert "True\nTrue\nPermissionError" in confined(
        f"try: os.open({str(outside)!r}, os.O_RDONLY)\nexcept OSError as e: print(type(e).__name__)", inside
    )
    assert "True\nTrue\nfine" in confined(f"Path({str(inside / 'x')!r}).write_text('x'); print('fine')", inside)
    assert "unreachable" in confined(
        "try: socket.create_connection(('127.0.0.1', 9), 2)\nexcept OSError as e: print(e)", inside, files=False
    )


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0" * 7,
        b"\0" * 8,
        b"\0" * 7 + b"\x02{}",
        (99).to_bytes(8, "big") + b"{}",
        message.pack({}, {"a": np.zeros(3)})[:-1],
        message.pack({}, {"a": np.zeros(3)}) + b"x",
        message.pack({}, {"a": np.zeros(3)}).replace(b"[3]", b"[-3]"),
    ],
)
def test_a_garbled_message_is_no_message(data: bytes) -> None:
    with pytest.raises(message.Garbled):
        message.unpack(data)


def test_a_message_arrives_as_it_was_sent() -> None:
    header, arrays = message.unpack(message.pack({"x": 1}, {"a": np.array([[1.5, np.nan]]), "b": np.zeros((0, 3))}))
    assert header == {"x": 1}
    assert arrays["a"].tobytes() == np.array([[1.5, np.nan]]).tobytes()
    assert arrays["b"].shape == (0, 3)
