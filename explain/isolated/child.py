"""The isolated process: one message in, one out. Started by ``run``, never imported by anything.

It is confined before it reads the question, imports what it needs with the files of the installation readable, closes
those doors too, and only then opens the artifact.
"""

from __future__ import annotations

import sys
import tempfile
import warnings
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

import importlib  # noqa: E402
import os  # noqa: E402
from typing import Any  # noqa: E402

from explain.isolated import confining  # noqa: E402


def main() -> None:
    """Read, answer, end. Errors become an answer with a code; a traceback goes to the parent's log."""
    seconds = int(sys.argv[1])
    confining.limit(seconds)
    held = ["limits"]
    if confining.leave_network():
        held.append("network_namespace")
    answer_to = os.dup(1)
    os.dup2(2, 1)  # what a library prints is no answer
    warnings.simplefilter("ignore")

    from explain.isolated import loading, message

    header, arrays = message.unpack(sys.stdin.buffer.read())
    try:
        answer = message.pack(*_answer(header, arrays, held))
    except loading.Unusable as error:
        answer = message.pack({"refused": error.code, "detail": error.detail, "isolation": held}, {})
    except confining.Refused as error:
        answer = message.pack({"refused": "forbidden", "detail": str(error), "isolation": held}, {})
    except Exception as error:
        detail = f"{type(error).__name__}: {error}"[:300]
        answer = message.pack({"refused": "failed", "detail": detail, "isolation": held}, {})
    with os.fdopen(answer_to, "wb") as out:
        out.write(answer)
        out.flush()
    os._exit(0)  # nothing of the artifact's runs at exit


def _answer(header: dict[str, Any], arrays: dict[str, Any], held: list[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    from explain.isolated import loading

    artifact = loading.find(Path(header["artifact"]))
    if artifact.form == "pickle" and not header["allow_pickle"]:
        raise loading.Unusable("pickled", artifact.path.name)
    for name in artifact.libraries:
        importlib.import_module(name)
    wanted = header["wanted"]
    if wanted == "tree":
        importlib.import_module("shap")
    _close(artifact.path, held)
    if artifact.form == "pickle" and not {"network_namespace", "file_rules"} <= set(held):
        raise loading.Unusable("not_confined", artifact.path.name)
    loaded = loading.load(artifact)
    order = _order(loaded, header["columns"])
    rows = loaded.transform(arrays["rows"][:, order])
    if wanted == "predict":
        about = {"kind": loaded.kind, "scale": loaded.scale, "isolation": held}
        return about, {"outputs": loaded.served(rows)}
    if wanted != loaded.kind:
        raise loading.Unusable("other_kind", loaded.kind)
    background = loaded.transform(arrays["background"][:, order])
    made = _explain(loaded, rows, background, header["output"])
    phi = made.phi.copy()
    phi[:, order] = made.phi  # back to the columns' order
    answer = {"isolation": held, "base": made.base, "failed": list(made.failed), "scale": loaded.scale}
    return answer, {"phi": phi, "fx": made.fx}


def _close(artifact: Path, held: list[str]) -> None:
    """The doors that imports needed."""
    installed = [Path(each) for each in {sys.prefix, sys.base_prefix, *sys.path} if each]
    readable = [*installed, *map(Path, confining.SYSTEM), *map(Path, confining.DEVICES), artifact.resolve()]
    own = Path(tempfile.gettempdir())
    if confining.restrict_files(readable, own):
        held.append("file_rules")
    confining.forbid(readable, own)
    held.append("audit_hook")


def _order(loaded: Any, columns: list[str]) -> list[int]:
    """Where the model's columns stand among the given ones. Raises ``Unusable`` when they are not the same."""
    from explain.isolated import loading

    if loaded.width not in (0, len(columns)):
        raise loading.Unusable("other_columns", f"{loaded.width} / {len(columns)}")
    if loaded.names is None:
        return list(range(len(columns)))
    if len(set(columns)) != len(columns) or set(loaded.names) != set(columns):
        raise loading.Unusable("other_columns", ", ".join(sorted(set(loaded.names) ^ set(columns))[:5]))
    return [columns.index(name) for name in loaded.names]


def _explain(loaded: Any, rows: Any, background: Any, output: int | None) -> Any:
    from explain.isolated import loading
    from explain.methods import analytic

    fx, fb = loaded.additive(rows), loaded.additive(background)
    outputs = fx.shape[1]
    # a margin is about the second of two classes; the first one's log-odds are its negative
    sign = -1.0 if loaded.scale == "log_odds" and outputs == 1 and output == 0 else 1.0
    column = 0 if outputs == 1 else output
    if column is None or not 0 <= column < outputs:
        raise loading.Unusable("other_output", str(outputs))
    if loaded.kind == "linear":
        made = analytic.linear(loaded.coefficients[column], float(loaded.intercepts[column]), rows, background)
        made = analytic.checked(made.phi, made.base, fx[:, column])
    else:
        made = analytic.tree(loaded.model, rows, background, fx=fx[:, column], fb=fb[:, column], output=column)
    return analytic.Exact(sign * made.phi, sign * made.base, sign * made.fx, made.failed)


main()
