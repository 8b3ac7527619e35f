"""Rows of a registered data set, drawn from where its bytes are; nothing of them is kept here but in the question.

Two places are read: what lies behind a configured tracking server, and folders that the operator names. Any other place
is refused: an address that somebody typed into a registry is none that this server may fetch.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import numpy as np
from django.conf import settings
from django.utils.translation import gettext as _

from audit.refusals import BadInput, Refusal, Refused
from explain import tables
from registry.datasets import find_dataset
from registry.models import Dataset, ModelVersion
from registry.sources.mlflow_client import Client
from registry.sources.servers import TrackingServer, tracking_servers

#: Bytes of a file that is read whole, in a process that answers pages.
LARGEST = 32 << 20


@dataclass(frozen=True, slots=True)
class Drawn:
    """``rows``: line of the file from 1 -> column -> value. ``subjects``: line -> the person. ``behind``: the
    persons of the background, empty for nobody. ``record``: for log and receipt, where all of it comes from.
    """

    rows: dict[str, dict[str, Any]]
    background: list[dict[str, Any]]
    subjects: dict[str, str]
    behind: list[str]
    record: dict[str, Any]


def draw(
    version: ModelVersion, dataset: str, *, rows: int, background: int, seed: int, subject_column: str = ""
) -> Drawn:
    """So many rows, and so many others as background, without replacement; the inputs of ``version`` only.

    ``subject_column`` names the person of each row and is no input; a background alone need not have it. The digest of
    a data set that begins with ``sha256:`` must be that of the file. MLflow's own digests are of a data frame in memory
    and cannot be compared.

    Raises ``BadInput`` on ``draw`` with what is wrong: the place, the file, a column, too few rows; ``NotKnown``.
    """
    found = find_dataset(dataset)
    if rows < 0 or background < 0 or rows + background == 0:
        raise _bad(_("Say how many rows are drawn."))
    content = _read(found)
    sha256 = f"sha256:{hashlib.sha256(content).hexdigest()}"
    if found.digest.startswith("sha256:") and found.digest != sha256:
        raise _bad(
            _("The file of %(dataset)s is not the one that was registered: its digest is %(digest)s.")
            % {"dataset": found.subject, "digest": sha256}
        )
    inputs = [str(each.get("name")) for each in version.schema.get("inputs") or [] if each.get("name")]
    if not inputs:
        raise _bad(
            _("%(version)s has no signature, so nobody knows which columns it takes: give the rows themselves.")
            % {"version": version.subject}
        )
    every = _table(content, found, version.schema, subject_column)
    _check(found, every, [*inputs, *([subject_column] if subject_column and rows else [])], rows + background)
    order = np.random.default_rng(seed).permutation(len(every))[: rows + background]
    chosen, behind = sorted(order[:rows].tolist()), sorted(order[rows:].tolist())
    return Drawn(
        rows={str(i + 1): _only(every[i], inputs) for i in chosen},
        background=[_only(every[i], inputs) for i in behind],
        subjects={
            str(i + 1): tables.person(every[i], subject_column, i + 1, field="draw") for i in chosen if subject_column
        },
        behind=tables.behind([every[i] for i in behind], subject_column, field="draw"),
        record={
            "dataset": found.subject,
            "registered_digest": found.digest,
            "file": sha256,
            "lines": len(every),
            "rows": rows,
            "background": background,
            "seed": str(seed),
        },
    )


def into(version: ModelVersion, asked: Mapping[str, Any]) -> dict[str, Any]:
    """The words of ``requests.Asked``, with what ``draw`` (``{"dataset", "rows", "background", "seed",
    "subject_column"}``) asks for in the place of rows, background and subjects.

    Raises what ``draw`` raises, and ``BadInput`` on the field of what is given twice or not at all.
    """
    given = dict(asked)
    wanted = dict(given.pop("draw", None) or {})
    for name in ("rows", "background"):
        count = int(wanted.get(name, 0))
        if bool(given.get(name)) == bool(count):
            both = _("Give the rows themselves or let them be drawn, not both.")
            neither = _("There are no rows: give them, or name a data set to draw them from.")
            sentence = both if count else neither
            raise BadInput(sentence, code=f"explanation.{name}", fields={name: sentence})
    if not wanted:
        return given
    for name, drawn in (("subjects", "rows"), ("background_subjects", "background")):
        if given.get(name) and wanted.get(drawn):
            sentence = _("The rows are drawn: name the column that says the person.")
            raise BadInput(sentence, code=f"explanation.{name}", fields={name: sentence})
    made = draw(version, wanted.pop("dataset"), **wanted)
    if made.rows:
        given |= {"rows": made.rows, "subjects": made.subjects}
    if made.background:
        given |= {"background": made.background, "background_subjects": made.behind}
    return given | {"drawn": made.record}


def _check(dataset: Dataset, every: Sequence[Any], needed: Sequence[str], count: int) -> None:
    if len(every) < count:
        raise _bad(
            _("%(dataset)s has %(has)d rows, and %(wanted)d are asked for.")
            % {"dataset": dataset.subject, "has": len(every), "wanted": count}
        )
    for number, row in enumerate(every, start=1):
        if not isinstance(row, Mapping):
            raise _bad(_("Row %(number)d is not an object of columns and values.") % {"number": number})
        if missing := [name for name in needed if name not in row]:
            raise _bad(
                _("Row %(number)d of %(dataset)s has no column “%(name)s”.")
                % {"number": number, "dataset": dataset.subject, "name": missing[0][:64]}
            )


def _only(row: Mapping[str, Any], inputs: Sequence[str]) -> dict[str, Any]:
    return {name: row[name] for name in inputs}


def _bad(sentence: str) -> BadInput:
    return BadInput(sentence, code="explanation.draw", fields={"draw": sentence})


def _table(content: bytes, dataset: Dataset, schema: Mapping[str, Any], named: str) -> list[Any]:
    """All rows of CSV, JSON, JSON lines or Parquet. Raises ``BadInput``."""
    if content[:4] == b"PAR1":
        return _parquet(content, dataset)
    try:
        text = content.decode("utf-8-sig").strip()
    except UnicodeDecodeError as error:
        raise _unreadable(dataset, _("it is neither text in UTF-8 nor Parquet")) from error
    if text.startswith("{") and "\n{" in text:
        text = f"[{','.join(line for line in text.splitlines() if line.strip())}]"
    return tables.read(text, field="draw", schema=schema, named=named)


def _parquet(content: bytes, dataset: Dataset) -> list[dict[str, Any]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(io.BytesIO(content))
        size = sum(file.metadata.row_group(i).total_byte_size for i in range(file.metadata.num_row_groups))
        if size > LARGEST:
            raise _unreadable(dataset, _("it has more than %(limit)d MB") % {"limit": LARGEST >> 20})
        rows: list[dict[str, Any]] = file.read().to_pylist()
    except (pa.ArrowException, OSError, ValueError) as error:
        raise _unreadable(dataset, str(error)[:200]) from error
    return [{name: _plain(value) for name, value in row.items()} for row in rows]


def _plain(value: Any) -> Any:
    """As JSON has it: dates as text, decimals as numbers."""
    if hasattr(value, "isoformat"):
        return value.isoformat()
    return float(value) if value.__class__.__name__ == "Decimal" else value


def _read(dataset: Dataset) -> bytes:
    """The file's bytes. Raises ``BadInput`` for a place that is not read here, or a file that cannot be."""
    uri = dataset.source_uri
    parts = urlsplit(uri)
    if parts.scheme in ("runs", "mlflow-artifacts"):
        return _from_tracking(dataset)
    if parts.scheme == "file" or (not parts.scheme and uri.startswith("/")):
        if parts.netloc not in ("", "localhost"):
            raise _unreadable(dataset, _("it lies on another machine"))
        return _from_folder(dataset, Path(unquote(parts.path)))
    raise _bad(
        _(
            "The rows of %(dataset)s are at “%(place)s”, which this server does not read. Give the rows themselves, or "
            "keep the file with a tracking server or in a folder of EXPLANATION_DATA_FOLDERS."
        )
        % {"dataset": dataset.subject, "place": uri[:120] or _("(nobody said where)")}
    )


def _unreadable(dataset: Dataset, why: str) -> BadInput:
    return _bad(_("The file of %(dataset)s cannot be read: %(why)s.") % {"dataset": dataset.subject, "why": why})


def _from_folder(dataset: Dataset, path: Path) -> bytes:
    whole = path.resolve()  # with symbolic links followed, so that none leads out of the folder
    allowed = [Path(folder).resolve() for folder in settings.EXPLANATION_DATA_FOLDERS]
    if not any(whole.is_relative_to(folder) for folder in allowed):
        raise _unreadable(dataset, _("it does not lie in a folder of EXPLANATION_DATA_FOLDERS"))
    if whole.exists() and not (whole.is_file() or whole.is_dir()):  # a pipe would be waited for
        raise _unreadable(dataset, _("it is no file"))
    try:
        with whole.open("rb") as file:
            return _bounded(dataset, iter(lambda: file.read(1 << 20), b""))
    except OSError as error:
        raise _unreadable(dataset, error.strerror or type(error).__name__) from error


def _from_tracking(dataset: Dataset) -> bytes:
    why = _("no tracking server is configured")
    for server in tracking_servers():
        try:
            with Client(server) as client, _artifact(client, server, dataset.source_uri) as pieces:
                return _bounded(dataset, pieces)
        except BadInput:
            raise
        except Refusal as refusal:
            why = refusal.sentence.rstrip(".")
    raise _unreadable(dataset, why)


@contextmanager
def _artifact(client: Client, server: TrackingServer, uri: str) -> Iterator[Iterator[bytes]]:
    """The file at ``runs:/<run>/<path>`` or ``mlflow-artifacts:/<path>``, by this server only."""
    parts = urlsplit(uri)
    path = unquote(parts.path).strip("/")
    if parts.scheme == "runs":
        run, _slash, rest = path.partition("/")
        root = urlsplit(str(client.run(run).get("info", {}).get("artifact_uri", "")))
        parts, path = root, f"{root.path.strip('/')}/{rest}"
    if parts.scheme != "mlflow-artifacts" or parts.netloc not in ("", urlsplit(server.uri).netloc):
        said = _("the file is not behind the artifact proxy of %(name)s") % {"name": server.name}
        raise Refused(said, code="explanation.draw")
    if any(step in ("", ".", "..") for step in path.split("/")):
        raise Refused(_("its path is no path of a file"), code="explanation.draw")
    with client.artifact(path) as pieces:
        yield pieces


def _bounded(dataset: Dataset, pieces: Iterator[bytes]) -> bytes:
    content = bytearray()
    for piece in pieces:
        content += piece
        if len(content) > LARGEST:
            raise _unreadable(dataset, _("it has more than %(limit)d MB") % {"limit": LARGEST >> 20})
    return bytes(content)
