"""A bundle that somebody drops on the Verify page: checked by the very program that bundles carry, in its own process.

What comes back is a verdict about the bundle against the keys that this server knows; a reader who trusts nobody runs
the same program at home with a key from elsewhere.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.files.uploadedfile import UploadedFile
from django.core.files.uploadhandler import FileUploadHandler, StopUpload
from django.http import HttpRequest
from django.utils.translation import gettext as _

from audit.exports.verifier import source
from audit.queries import fetch
from audit.refusals import BadInput

#: Seconds and bytes that one check may take.
_SECONDS, _MEMORY = 60, 1024**3
#: The child bounds itself before it reads a byte: code between fork and exec is not safe in a server with threads.
_BOUNDED = f"""import resource, runpy, sys
resource.setrlimit(resource.RLIMIT_AS, ({_MEMORY}, {_MEMORY}))
resource.setrlimit(resource.RLIMIT_CPU, ({_SECONDS}, {_SECONDS}))
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")"""


@dataclass(frozen=True, slots=True)
class Verdict:
    """``state`` is verified, failed or unknown: only an exit code 0 together with the word is «verified»."""

    state: str
    name: str = ""
    findings: list[str] = field(default_factory=list)
    passed: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)


class BoundedUpload(FileUploadHandler):
    """First of the upload handlers: what is larger than ``EXPORT_UPLOAD_LIMIT`` is not even stored."""

    chunk_size = 256 * 1024

    def __init__(self, request: HttpRequest | None = None) -> None:
        super().__init__(request)
        self._received = 0

    def receive_data_chunk(self, raw_data: bytes, start: int) -> bytes:
        self._received += len(raw_data)
        if self._received > settings.EXPORT_UPLOAD_LIMIT:
            if self.request is not None:
                self.request.META["UPLOAD_TOO_LARGE"] = "1"
            raise StopUpload(connection_reset=False)
        return raw_data

    def file_complete(self, file_size: int) -> None:
        return None


def verify(request: HttpRequest) -> Verdict:
    """Check the file ``bundle`` of a form. Raises ``BadInput`` when there is none or it is too large."""
    limit = settings.EXPORT_UPLOAD_LIMIT
    sent = request.FILES.get("bundle")
    if request.META.get("UPLOAD_TOO_LARGE"):
        raise BadInput(
            _("The file is larger than %(limit)d MB. Verify it at home: the bundle holds the program for it.")
            % {"limit": limit // 1024**2},
            code="bundle.too_large",
        )
    if not isinstance(sent, UploadedFile):
        raise BadInput(_("Choose the file of a bundle, for example export-12.zip."), code="bundle.missing")
    with tempfile.TemporaryDirectory(prefix="countersign-verify-") as folder:
        path = Path(folder) / "bundle.zip"
        with path.open("wb") as target:
            for piece in sent.chunks():
                target.write(piece)
        return _run(Path(folder), path, _keys(), str(sent.name or "")[:200])


def _keys() -> list[str]:
    """The keys of every log of this installation."""
    return [str(vkey) for (vkey,) in fetch("SELECT vkey FROM audit.key ORDER BY log_id, from_size", [])]


def _run(folder: Path, path: Path, keys: Sequence[str], name: str) -> Verdict:
    if not keys:
        return Verdict("unknown", name, [_("The log has announced no key yet, so nothing can be compared with it.")])
    program, known = folder / "verify.py", folder / "keys"
    program.write_bytes(source())
    known.write_text("\n".join(keys) + "\n")
    command = [sys.executable, "-I", "-c", _BOUNDED, str(program), str(path), "--key", str(known), "--json"]
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, timeout=_SECONDS, check=False)
        told = json.loads(done.stdout)
        state = {("verified", 0): "verified", ("failed", 1): "failed"}.get(
            (told["verdict"], done.returncode), "unknown"
        )
        findings = [text.replace(str(path), name) for text in told["findings"]]
        return Verdict(state, name, findings, told["passed"], told["notes"], told["facts"])
    except subprocess.TimeoutExpired:
        finding = _("The check took longer than %(seconds)d seconds and was stopped.") % {"seconds": _SECONDS}
    except (OSError, ValueError, KeyError, TypeError):
        finding = _("The check ended without a verdict: the file may need more memory than it is given here.")
    return Verdict("unknown", name, [finding])
