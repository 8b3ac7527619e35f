"""What ``verify.py`` says on a bare Python, in an empty folder, with no network: 0 for good, 1 a named defect."""

from __future__ import annotations

import ast
import base64
import hashlib
import json
import struct
import subprocess
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from google.protobuf.json_format import Parse
from in_toto_attestation.v1.statement import Statement
from in_toto_attestation.v1.statement_pb2 import Statement as StatementMessage
from securesystemslib.dsse import Envelope
from securesystemslib.signer import SSlibKey

from audit import manifests
from audit.exports.scope import Scope
from audit.exports.verifier import program, source
from audit.exports.verifier.formats import MANIFEST, SUMS, central_header, end_of_archive, local_header
from audit.log import log_id
from audit.merkle.checkpoint import Head
from audit.merkle.receipt import parse as parse_receipt
from audit.merkle.receipt import verify as verify_receipt
from audit.signer import Signer, SignerRefusal
from audit.signer_protocol import SignerServer
from tests.audit.exporting import (
    EVERYTHING,
    export,
    key_of,
    members,
    pack,
    relisted,
    resigned,
    verdict,
    verify,
)
from tests.audit.story import append, execute

CHOSEN = Scope(model="credit-scoring", disclose=("actor.name", "reason"))


class Made:
    """Two bundles of one log, and what is needed to forge them."""

    def __init__(self, folder: Path, signer: Signer) -> None:
        self.folder, self.signer, self.key = folder, signer, key_of(signer)
        self.whole, self.chosen = folder / "whole.zip", folder / "chosen.zip"
        export(self.whole, signer)
        export(self.chosen, signer, CHOSEN)

    def defects(self, path: Path, *arguments: str) -> str:
        """All findings of a bundle that must be refused with exit code 1."""
        told = verdict(self.folder, path, *(arguments or ("--key", self.key)))
        assert (told["verdict"], told["exit"]) == ("failed", 1), told
        return "\n".join(told["findings"])

    def forged(self, files: dict[str, bytes]) -> Path:
        """A flawless archive of other files."""
        path = self.folder / "forged.zip"
        pack(path, files)
        return path


@pytest.fixture
def made(committed_db: object, tmp_path: Path, signer: Signer, sequence: Callable[[], None]) -> Made:
    """A log of a few entries, exported whole and in part."""
    append(4)
    append(3, subject="environment:prod")
    sequence()
    return Made(tmp_path, signer)


def test_good_bundles_verify_and_say_what_they_prove(made: Made) -> None:
    code, output = verify(made.folder, made.whole, "--key", made.key)
    assert code == 0
    assert "all 9 entries of the log were hashed again" in output
    assert "not witnessed" in output
    code, output = verify(made.folder, made.chosen, "--key", made.key)
    assert code == 0
    assert "that none was left out is not proved" in output


def test_no_byte_can_be_flipped_unseen(made: Made, capsys: pytest.CaptureFixture[str]) -> None:
    """In every member, every header and the directory; every 197th byte besides."""
    for path in (made.whole, made.chosen):
        good = path.read_bytes()
        positions = set(range(0, len(good), 197)) | set(range(40)) | set(range(len(good) - 50, len(good)))
        for sign in (b"PK\3\4", b"PK\1\2"):
            start = good.find(sign)
            while start >= 0:
                positions |= {start, start + 8, start + 14, start + 18, start + 27, start + 31}
                start = good.find(sign, start + 4)
        with zipfile.ZipFile(path) as archive:
            for info in archive.infolist():
                begin = info.header_offset + 30 + len(info.filename)
                positions |= {begin, begin + info.file_size - 1} if info.file_size else set()
        flipped = made.folder / "flipped.zip"
        unseen = []
        for number, position in enumerate(sorted(positions)):
            bad = bytearray(good)
            bad[position] ^= 1 << number % 8
            flipped.write_bytes(bad)
            if program.main([str(flipped), "--key", made.key]) != 1:
                unseen.append(position)
        assert unseen == []
        capsys.readouterr()
    assert "defect" in verify(made.folder, flipped, "--key", made.key)[1]


def test_a_dropped_last_event_is_named(made: Made) -> None:
    """By somebody who lists the digests anew, and by a thief of the signing key who signs them anew."""
    whole = members(made.whole)
    last = b"".join([len(entry).to_bytes(2) + entry for entry in _entries(whole)[:-1]])
    shorter = {**whole, "tile/entries/000.p/9": last}
    shorter["entries.jsonl"] = b"".join(whole["entries.jsonl"].splitlines(keepends=True)[:-1])
    assert "the bundle holds 8 of 9: entries were dropped" in made.defects(made.forged(relisted(shorter)))
    stolen = made.forged(resigned(shorter, made.signer, entries=8))
    assert "the bundle holds 8 of 9: entries were dropped" in made.defects(stolen)
    chosen = {name: data for name, data in members(made.chosen).items() if not name.startswith("entries/5.")}
    named = made.defects(made.forged(chosen))
    assert "entries/5.json" in named
    chosen["entries.jsonl"] = b"".join(chosen["entries.jsonl"].splitlines(keepends=True)[:-1])
    assert "the manifest promises 4 entries and the bundle holds 3" in made.defects(made.forged(relisted(chosen)))


def test_two_swapped_events_are_named(made: Made) -> None:
    whole = members(made.whole)
    entries = _entries(whole)
    entries[4], entries[6] = entries[6], entries[4]
    swapped = {**whole, "tile/entries/000.p/9": b"".join(len(one).to_bytes(2) + one for one in entries)}
    lines = b"".join(b'{"index":%d,"entry":%s}\n' % (index, entry) for index, entry in enumerate(entries))
    named = made.defects(made.forged(resigned({**swapped, "entries.jsonl": lines}, made.signer)))
    assert "entry 4 is not the one that was recorded: entry 6 stands in its place" in named
    assert "the entries give another root than the signed one" in named
    chosen = members(made.chosen)
    chosen["entries/2.json"], chosen["entries/3.json"] = chosen["entries/3.json"], chosen["entries/2.json"]
    lines = b"".join(b'{"index":%d,"entry":%s}\n' % (i, chosen[f"entries/{i}.json"]) for i in range(2, 6))
    named = made.defects(made.forged(resigned({**chosen, "entries.jsonl": lines}, made.signer)))
    assert "entry 2 is not the one that was recorded" in named


def test_a_replaced_key_is_named_and_a_strangers_key_says_nothing(made: Made, tmp_path: Path) -> None:
    forger = Signer(tmp_path / "forger", made.signer.origin)
    head, _note = made.signer.head()
    files = members(made.whole)
    files["checkpoint"] = forger._sets[0].sign(head, 1).__str__().encode()
    forged = made.forged(resigned(files, forger, checkpoint=files["checkpoint"].decode()))
    assert verdict(tmp_path, forged, "--key", str(forger.vkeys[0]))["verdict"] == "verified"
    assert "the key was replaced" in made.defects(forged)
    elsewhere = Signer(tmp_path / "elsewhere", "other.example/log")
    code, output = verify(tmp_path, made.whole, "--key", str(elsewhere.vkeys[0]))
    assert (code, "COULD NOT VERIFY" in output) == (2, True)
    forger.close()
    elsewhere.close()


def test_without_a_key_or_without_cryptography_nothing_is_verified(made: Made, tmp_path: Path) -> None:
    code, output = verify(tmp_path, made.whole)
    assert code == 2
    assert made.signer.vkeys[0].key_id.hex() in output
    empty = tmp_path / "no-programs"
    empty.mkdir()
    code, output = verify(tmp_path, made.whole, "--key", made.key, environment={"PATH": str(empty)})
    assert code == 2
    assert "neither is here" in output
    useless = empty / "openssl"
    useless.write_text("#!/bin/sh\nexit 1\n")
    useless.chmod(0o755)
    code, output = verify(tmp_path, made.whole, "--key", made.key, environment={"PATH": f"{empty}:/bin"})
    assert (code, "cannot verify Ed25519" in output) == (2, True)
    for wrong in ("nonsense", "name+00000000+AAAA"):
        assert verify(tmp_path, made.whole, "--key", wrong)[0] == 2


def test_changed_disclosures_files_and_proofs_are_named(made: Made) -> None:
    files = members(made.chosen)
    lied = {**files, "disclosures.jsonl": files["disclosures.jsonl"].replace(b"Layla Haddad", b"Omar Nasser!")}
    assert "'actor.name' of entry 2 is not what the entry committed to" in made.defects(
        made.forged(resigned(lied, made.signer))
    )
    page = {**files, "index.html": files["index.html"] + b"<p>and more</p>"}
    assert "index.html was changed" in made.defects(made.forged(page))
    assert "extra.txt was added" in made.defects(made.forged({**files, "extra.txt": b"more"}))
    less = {name: data for name, data in files.items() if name != "policy.txt"}
    assert "policy.txt is" in made.defects(made.forged(less))
    proof = files["entries/3.tlog-proof"].replace(b"index 3", b"index 2")
    assert "receipt of entry 3" in made.defects(
        made.forged(resigned({**files, "entries/3.tlog-proof": proof}, made.signer))
    )
    told = files["entries.jsonl"].replace(b"Reason", b"Season").replace(b'"number":1', b'"number":7')
    assert "entries.jsonl tells something else" in made.defects(
        made.forged(resigned({**files, "entries.jsonl": told}, made.signer))
    )


def test_a_rewritten_history_is_named(made: Made, sequence: Callable[[], None]) -> None:
    """The earlier checkpoint in the bundle, and one that the reader kept, have another root for their size."""
    append(5)
    sequence()
    later = made.folder / "later.zip"
    export(later, made.signer, replace(EVERYTHING, previous=9))
    assert verdict(made.folder, later, "--key", made.key)["verdict"] == "verified"
    fork = Head(made.signer.origin, 9, hashlib.sha256(b"another past").digest())
    forked = made.folder / "forked"
    forked.write_text(str(made.signer._sets[0].sign(fork, 1)))
    assert "another root for size 9" in made.defects(later, "--key", made.key, "--kept", str(forked))
    files = {**members(later), "history/9.checkpoint": forked.read_bytes()}
    assert "the log was rewritten" in made.defects(made.forged(resigned(files, made.signer)))


def test_foreign_damaged_and_hostile_files_end_with_a_clear_verdict(made: Made, tmp_path: Path) -> None:
    """Never an exception, never much memory: a compressed bomb, 10 GB claimed, links, paths upwards, doubled names."""
    path = tmp_path / "odd.zip"

    def code() -> int:
        return verify(tmp_path, path, "--key", made.key)[0]

    for data in (b"", b"no archive at all", b"PK\x05\x06" + bytes(18), bytes(100_000)):
        path.write_bytes(data)
        assert code() == 2
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bomb", bytes(20_000_000))
    assert code() == 2
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("checkpoint", bytes(20_000_000))
    assert code() == 1
    good = made.whole.read_bytes()
    for cut in (1, 100, len(good) // 2, len(good) - 60):
        path.write_bytes(good[:-cut])
        assert code() == 1
    path.write_bytes(good + b"\n")
    assert code() == 1
    path.write_bytes(made.whole.read_bytes().replace(b"policy.txt", b"../evil.tx"))
    assert code() == 1
    first = members(made.whole)["checkpoint"]
    claim = local_header("checkpoint", 10 * 2**30, 0) + first
    path.write_bytes(claim)
    assert code() == 1
    doubled = local_header("checkpoint", 1, 0xE8B7BE43) + b"a"
    directory = central_header("checkpoint", 1, 0xE8B7BE43, 0) + central_header(
        "checkpoint", 1, 0xE8B7BE43, len(doubled)
    )
    path.write_bytes(doubled * 2 + directory + end_of_archive(2, len(directory), 2 * len(doubled)))
    assert code() == 1
    link = bytearray(good)
    mode = struct.pack("<I", 0o100644 << 16)
    at = good.rfind(mode)
    link[at : at + 4] = struct.pack("<I", 0o120777 << 16)
    path.write_bytes(link)
    assert code() == 1
    assert verify(tmp_path, tmp_path, "--key", made.key)[0] == 2


def test_witnesses_count_only_under_the_readers_own_policy(
    made: Made, committed_db: object, sequence: Callable[[], None], tmp_path: Path
) -> None:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from audit.merkle.checkpoint import COSIGNATURE, Signature, Vkey

    private = Ed25519PrivateKey.generate()
    vkey = Vkey("witness.example/w", COSIGNATURE, private.public_key().public_bytes_raw())
    head, _note = made.signer.head()
    message = b"cosignature/v1\ntime 1700000000\n" + head.body().encode()
    line = Signature(vkey.name, vkey.key_id, (1700000000).to_bytes(8) + private.sign(message)).line()
    url = committed_db.url("audit_sequencer")  # type: ignore[attr-defined]
    sql = "INSERT INTO audit.cosignature VALUES (%s, %s, %s, %s, to_timestamp(1700000000), %s)"
    execute(url, sql, values=[log_id(), head.size, vkey.name, vkey.key_id, line])
    path = tmp_path / "cosigned.zip"
    export(path, made.signer)
    policy = tmp_path / "policy"
    policy.write_text(f"log {made.key}\nwitness one {vkey}\nquorum one\n")
    told = verdict(tmp_path, path, "--key", made.key, "--policy", str(policy))
    assert told["verdict"] == "verified"
    assert told["facts"]["witnessed"] == head.size
    other = Vkey("witness.example/w", COSIGNATURE, Ed25519PrivateKey.generate().public_key().public_bytes_raw())
    policy.write_text(f"witness one {other}\nquorum one\n")
    told = verdict(tmp_path, path, "--key", made.key, "--policy", str(policy))
    assert "witnessed" not in told["facts"]
    assert any("not witnessed" in note for note in told["notes"])


def test_foreign_tools_read_the_bundle(made: Made, tmp_path: Path) -> None:
    """unzip and sha256sum the files, securesystemslib the envelope, in-toto the statement, our code the receipts."""
    with zipfile.ZipFile(made.chosen) as archive:
        assert archive.testzip() is None
        archive.extractall(tmp_path / "out")
    done = subprocess.run(["sha256sum", "-c", "--quiet", SUMS], cwd=tmp_path / "out", check=False)
    assert done.returncode == 0
    envelope = Envelope.from_dict(json.loads((tmp_path / "out" / MANIFEST).read_bytes()))
    vkey = made.signer.vkeys[0]
    value = {"public": vkey.public_key.hex()}
    key = SSlibKey(vkey.key_id.hex(), "ed25519", "ed25519", value)
    assert list(envelope.verify([key], 1)) == [vkey.key_id.hex()]
    Statement.copy_from_pb(Parse(envelope.payload, StatementMessage())).validate()
    receipt = parse_receipt((tmp_path / "out/entries/3.tlog-proof").read_text())
    entry = (tmp_path / "out/entries/3.json").read_bytes()
    assert verify_receipt(receipt, entry, made.signer.vkeys, None).size == 9


def test_the_program_speaks_python_3_8_and_needs_nothing(tmp_path: Path) -> None:
    tree = ast.parse(source(), feature_version=(3, 8))
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    assert not names & {"urllib", "http", "socket", "django", "audit"}
    assert b"audit." not in b"".join(line for line in source().splitlines() if line.startswith((b"import", b"from")))


def test_the_signer_signs_manifests_of_its_own_checkpoints_and_nothing_else(signer: Signer, tmp_path: Path) -> None:
    with pytest.raises(SignerRefusal, match="unintelligible"):
        signer.sign_manifest(b"tests.example/log\n7\n" + base64.b64encode(bytes(32)) + b"\n")
    stranger = Signer(tmp_path / "stranger", signer.origin)
    note = str(stranger._sets[0].sign(Head(signer.origin, 7, bytes(32)), 1))
    for predicate in ({}, {"checkpoint": note}):
        with pytest.raises(SignerRefusal):
            signer.sign_manifest(manifests.statement([(SUMS, "00" * 32)], predicate))
    stranger.close()
    assert b"\n" not in manifests.pae(manifests.statement([(SUMS, "00" * 32)], {"checkpoint": note}))


def test_the_exporters_secret_gets_manifests_signed_and_no_checkpoint(signer: Signer) -> None:
    server = SignerServer(signer, b"s" * 40, "127.0.0.1:0", exports=b"e" * 40)
    try:
        refused = server._respond(json.dumps({"do": "sign", "size": 1, "root": "00" * 32, "proof": []}), b"e" * 40)
        assert refused["refused"] == "secret"
        for action in ("rotate", "retire", "finish", "open"):
            assert server._respond(json.dumps({"do": action}), b"e" * 40)["refused"] == "secret"
        payload = base64.b64encode(b"{}").decode()
        asked = json.dumps({"do": "manifest", "payload": payload})
        assert server._respond(asked, b"e" * 40)["refused"] == "manifest"
        assert server._respond(asked, b"")["refused"] == "secret"
    finally:
        server.close()


def _entries(files: dict[str, bytes]) -> list[bytes]:
    data, found, position = files["tile/entries/000.p/9"], [], 0
    while position < len(data):
        length = int.from_bytes(data[position : position + 2])
        found.append(data[position + 2 : position + 2 + length])
        position += 2 + length
    return found
