"""Asks the isolated process: exact SHAP values of an artifact, or its predictions for the probe's parity check.

The process gets an empty environment, a fresh folder, bounds on time and memory, and no network; only numbers come
back. A pickled artifact is code: it is opened, even there, only where the operator allows it.
"""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal

import numpy as np
from django.conf import settings
from django.utils.translation import gettext as _

from explain.isolated import message
from explain.methods.codes import Floats
from explain.serving.limits import ASK, Stopped, go_on

logger = logging.getLogger(__name__)

Kind = Literal["tree", "linear"]

#: Seconds that the process may take: importing shap alone takes ten.
LONGEST = 120
#: Bytes of an answer that are read.
LARGEST_ANSWER = 256 << 20

_CHILD = Path(__file__).with_name("child.py")


class Unloadable(Exception):  # noqa: N818
    """The artifact cannot answer. ``sentence`` is shown to a person; ``code`` is for programs."""

    def __init__(self, sentence: str, *, code: str) -> None:
        super().__init__(sentence)
        self.sentence, self.code = sentence, code


@dataclass(frozen=True, slots=True)
class Attributions:
    """``phi``: (rows, features) on ``scale`` ("raw", "probability", "log_odds", or "margin" for what is none of
    these). ``base``: mean output over the background; ``fx``: (rows,) the artifact's own outputs. ``failed``: rows
    whose values do not add up within 1e-6 of their size, to be explained from outside. ``isolation``: the measures that
    held: "limits", "network_namespace", "file_rules", "audit_hook".
    """

    phi: Floats
    base: float
    fx: Floats
    failed: tuple[int, ...]
    scale: str
    isolation: tuple[str, ...]


def explain(
    kind: Kind,
    artifact: Path,
    rows: Floats,
    background: Floats,
    columns: list[str],
    *,
    output: int | None = None,
    stopped: Stopped = go_on,
) -> Attributions:
    """Exact interventional SHAP values of ``rows`` (rows, features) over ``background``, columns named by ``columns``.

    ``output``: which of several outputs, as the endpoint numbers them. ``stopped`` raises to abandon the wait; the
    process is ended then. Raises ``Unloadable``.
    """
    asked = {"wanted": kind, "columns": columns, "output": output}
    header, arrays = _ask(artifact, asked, {"rows": rows, "background": background}, stopped)
    try:
        made = Attributions(
            phi=arrays["phi"],
            base=float(header["base"]),
            fx=arrays["fx"],
            failed=tuple(int(i) for i in header["failed"]),
            scale=str(header["scale"]),
            isolation=tuple(map(str, header["isolation"])),
        )
    except (KeyError, TypeError, ValueError):
        raise refused("garbled") from None
    if made.phi.shape != rows.shape or made.fx.shape != (len(rows),):
        raise refused("garbled")
    # the check is ours, whatever the process says about it
    residual = np.abs(made.base + made.phi.sum(axis=1) - made.fx)
    if set(np.flatnonzero(~(residual <= 1.1e-6 * np.maximum(1.0, np.abs(made.fx)))).tolist()) - set(made.failed):
        raise refused("garbled")
    return made


@dataclass(frozen=True, slots=True)
class Answers:
    """``outputs``: (rows, outputs) as a server gives them, probabilities of each class or values. ``kind`` and
    ``scale``: what ``explain`` can do with the artifact.
    """

    outputs: Floats
    kind: Kind
    scale: str
    isolation: tuple[str, ...]


def answers(artifact: Path, rows: Floats, columns: list[str], *, stopped: Stopped = go_on) -> Answers:
    """What the artifact answers to ``rows`` (rows, features). Raises ``Unloadable``, or what ``stopped`` raises."""
    header, arrays = _ask(artifact, {"wanted": "predict", "columns": columns}, {"rows": rows}, stopped)
    outputs, kind = arrays.get("outputs"), header.get("kind")
    if outputs is None or outputs.ndim != 2 or len(outputs) != len(rows) or kind not in ("tree", "linear"):
        raise refused("garbled")
    return Answers(outputs, kind, str(header.get("scale")), tuple(map(str, header.get("isolation", ()))))


def predict(artifact: Path, rows: Floats, columns: list[str]) -> Floats:
    """Only the outputs of ``answers``."""
    return answers(artifact, rows, columns).outputs


def _ask(
    artifact: Path, asked: dict[str, Any], arrays: dict[str, Floats], stopped: Stopped
) -> tuple[dict[str, Any], dict[str, Floats]]:
    allow = bool(getattr(settings, "ALLOW_PICKLED_ARTIFACTS", False))
    question = message.pack({**asked, "artifact": str(artifact.resolve()), "allow_pickle": allow}, arrays)
    with tempfile.TemporaryDirectory(prefix="isolated-") as folder, tempfile.TemporaryFile() as out:
        _run(question, folder, out, stopped)
        out.seek(0)
        answer = out.read(LARGEST_ANSWER + 1)
    try:
        header, values = message.unpack(answer)
    except message.Garbled:
        raise refused("garbled") from None
    if "refused" in header:
        raise refused(str(header["refused"]), str(header.get("detail", ""))[:300])
    return header, values


def _run(question: bytes, folder: str, out: IO[bytes], stopped: Stopped) -> None:
    with tempfile.TemporaryFile() as errors:  # bounded like every file of the process, as a pipe is not
        returned = _returned(question, folder, out, errors, stopped)
        if returned:
            errors.seek(max(0, errors.seek(0, os.SEEK_END) - 2000))
            logger.warning("the isolated process ended with %s: %s", returned, errors.read().decode(errors="replace"))
            raise refused("ended")


def _returned(question: bytes, folder: str, out: IO[bytes], errors: IO[bytes], stopped: Stopped) -> int:
    process = subprocess.Popen(
        [sys.executable, "-I", str(_CHILD), str(LONGEST)],
        stdin=subprocess.PIPE,
        stdout=out,
        stderr=errors,
        env={
            "PATH": os.environ.get("PATH", os.defpath),
            "LANG": "C.UTF-8",
            "OMP_NUM_THREADS": "1",
            "HOME": folder,
            "TMPDIR": folder,
            "MPLCONFIGDIR": folder,
        },
        cwd=folder,
        start_new_session=True,
    )
    try:
        _until_it_ends(process, question, stopped)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
    return process.returncode


def _until_it_ends(process: subprocess.Popen[bytes], question: bytes, stopped: Stopped) -> None:
    ends = time.monotonic() + LONGEST
    asked: bytes | None = question
    while time.monotonic() < ends:
        try:
            process.communicate(asked, timeout=ASK)
            return
        except subprocess.TimeoutExpired:
            asked = None  # what is left of the question is still sent
            stopped()
    raise refused("slow")


def refused(code: str, detail: str = "") -> Unloadable:
    """The refusal that a code stands for, with its sentence."""
    sentences = {
        "pickled": _(
            "%(detail)s is a pickle, which runs code when it is opened. Save the model with skops or in its own "
            "format, or let the operator set ALLOW_PICKLED_ARTIFACTS."
        ),
        "not_confined": _("%(detail)s is a pickle, and this machine does not let a process be confined enough for it."),
        "untrusted_types": _("The artifact holds types that are not known to be safe: %(detail)s."),
        "unreadable": _("The artifact cannot be read: %(detail)s."),
        "unknown_form": _("The artifact is saved in a form that is not opened here: %(detail)s."),
        "not_columnwise": _(
            "The pipeline mixes columns before the model (%(detail)s), so that only the endpoint can say."
        ),
        "unsupported_model": _("The model is neither of trees nor linear: %(detail)s."),
        "other_kind": _("The artifact holds a model of another kind: %(detail)s."),
        "other_columns": _("The artifact's columns are not those of the endpoint: %(detail)s."),
        "other_output": _("The artifact does not have the output that is explained; it has %(detail)s."),
        "forbidden": _("The artifact tried what an artifact must not do: %(detail)s."),
        "failed": _("The artifact cannot answer: %(detail)s."),
        "slow": _("The artifact did not answer in time."),
        "ended": _("The artifact ended the process that opened it, or needed more memory than it may have."),
    }
    sentence = sentences.get(code) or _("The process that opened the artifact gave no proper answer.")
    return Unloadable(sentence % {"detail": detail}, code=f"artifact.{code}")
