"""What the tests of exports share: a bundle over the test's log, and the verifier as an auditor runs it."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from audit import manifests
from audit.exports import bundle
from audit.exports.scope import Scope
from audit.exports.verifier import source
from audit.exports.verifier.formats import MANIFEST, SUMS, Bundle, central_header, end_of_archive, local_header
from audit.log import log_id
from audit.signer import Signer

EVERYTHING = Scope(everything=True)


def export(path: Path, signer: Signer, scope: Scope = EVERYTHING) -> bundle.Written:
    """Write a bundle to ``path``."""
    with path.open("wb") as target:
        return bundle.write(target, path.parent, scope, log=log_id(), signer=signer)


def key_of(signer: Signer) -> str:
    """The log's Ed25519 key, as somebody got it elsewhere."""
    return str(signer.vkeys[0])


def verify(folder: Path, path: Path, *arguments: str, environment: dict[str, str] | None = None) -> tuple[int, str]:
    """Exit code and output of ``verify.py`` on a bare Python, in ``folder``, which holds nothing else of ours."""
    program = folder / "verify.py"
    program.write_bytes(source())
    done = subprocess.run(
        [sys.executable, "-I", "-S", str(program), str(path), *arguments],
        cwd=folder,
        env=environment if environment is not None else {"PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, done.stdout + done.stderr


def verdict(folder: Path, path: Path, *arguments: str) -> dict[str, Any]:
    """The verdict as JSON."""
    _code, output = verify(folder, path, *arguments, "--json")
    told: dict[str, Any] = json.loads(output)
    return told


def members(path: Path) -> dict[str, bytes]:
    """Every file of a bundle."""
    with path.open("rb") as file:
        opened = Bundle(file, str(path))
        return {name: opened.read(name, 2**40) for name in opened.members}


def pack(path: Path, files: dict[str, bytes]) -> None:
    """Write files as a bundle whose archive is flawless, whatever they hold."""
    import zlib

    body, directory = b"", b""
    for name, data in files.items():
        crc = zlib.crc32(data)
        directory += central_header(name, len(data), crc, len(body))
        body += local_header(name, len(data), crc) + data
    path.write_bytes(body + directory + end_of_archive(len(files), len(directory), len(body)))


def relisted(files: dict[str, bytes]) -> dict[str, bytes]:
    """The same files with a list of digests that fits them again: a forger without the key gets this far."""
    import hashlib

    listed = [name for name in files if name not in (SUMS, MANIFEST)]
    sums = "".join(f"{hashlib.sha256(files[name]).hexdigest()}  {name}\n" for name in listed).encode()
    return {**{name: files[name] for name in listed}, SUMS: sums, MANIFEST: files[MANIFEST]}


def resigned(files: dict[str, bytes], forger: Signer | None, **changes: Any) -> dict[str, bytes]:
    """Files with a manifest signed again by ``forger``'s first key set: what a thief of that key can make."""
    import hashlib

    files = relisted(files)
    envelope = json.loads(files[MANIFEST])
    told = json.loads(base64.b64decode(envelope["payload"]))
    subjects = [(each["name"], hashlib.sha256(files[each["name"]]).hexdigest()) for each in told["subject"]]
    payload = manifests.statement(subjects, {**told["predicate"], **changes})
    assert forger is not None
    keyid, signature = forger._sets[0].sign_manifest(payload)
    return {**files, MANIFEST: manifests.envelope(payload, keyid, signature)}
