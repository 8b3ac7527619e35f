"""Programs that are not ours read the log's bytes and come to the same verdict: pymerkle, tlog-scales, sigstore,
metamorphic-log (Rust), scitt-cose, rfc8785 and openssl. Every tree up to 300 entries, and one of 70,000 as files.
"""

from __future__ import annotations

import base64
import hashlib
import json
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import metamorphic_log
import pytest
import rfc8785
import scitt_cose
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from pymerkle import InmemoryTree, MerkleProof
from pymerkle import verify_inclusion as pymerkle_inclusion
from sigstore._internal.merkle import verify_merkle_inclusion
from sigstore._internal.rekor.checkpoint import verify_checkpoint
from sigstore._internal.trust import Keyring
from sigstore_models.common import v1 as sigstore_common
from tlog_scales import reader, signing, tlog
from tlog_scales.backend import LocalBackend

from audit.entries import Checkpoint, Inclusion
from audit.merkle import checkpoint, receipt, tiles
from audit.merkle.policy import Policy
from audit.merkle.proofs import consistency, inclusion
from audit.merkle.tree import GrowingTree, leaf_hash, root_of
from audit.tile_files import paths
from tests.audit.notes import CLASSIC, KEYS, MODERN, NOON, entries_of, entry, hashes_of, head_of, leaves_of, note_of

ALL = 300
LARGE = 70_000
SOME = (0, 1, 255, 256, 65_535, 65_536, 69_887, 69_888, 69_999)
OLDER = (1, 255, 256, 257, 65_535, 65_536, 65_537, 69_888, 69_999)


@cache
def root(size: int) -> bytes:
    """The root of the first ``size`` of 300 entries."""
    return root_of(leaves_of(ALL)[:size])


@cache
def inclusions() -> list[tuple[int, int, list[bytes]]]:
    """Index, size and proof for every entry of every tree up to 300."""
    return [(i, size, inclusion(hashes_of(ALL), i, size)) for size in range(1, ALL + 1) for i in range(size)]


@cache
def consistencies() -> list[tuple[int, int, list[bytes]]]:
    """Old size, new size and proof for every pair of trees up to 300."""
    return [(old, new, consistency(hashes_of(ALL), old, new)) for new in range(1, ALL + 1) for old in range(1, new + 1)]


def in_tlog_scales(index: int, size: int, path: list[bytes], head: bytes) -> None:
    tlog.InclusionProof(index, size, path).check(leaves_of(ALL)[index], head)


def in_metamorphic(index: int, size: int, path: list[bytes], head: bytes) -> None:
    if index % 5 != size % 5 and index not in (5, size - 1):
        return  # calls into Rust are slow: a fifth of the entries, in turn, and always the last
    metamorphic_log.verify_inclusion(index, size, leaves_of(ALL)[index], path, head)


def in_scitt(index: int, size: int, path: list[bytes], head: bytes) -> None:
    hashes = [hashed.hex() for hashed in path]
    assert scitt_cose.verify_inclusion(entries_of(ALL)[index].hex(), index, size, hashes, head.hex())


def in_sigstore(index: int, size: int, path: list[bytes], head: bytes) -> None:
    proof = SimpleNamespace(log_index=index, tree_size=size, hashes=path, root_hash=head)
    inner = SimpleNamespace(inclusion_proof=proof, canonicalized_body=entries_of(ALL)[index])
    verify_merkle_inclusion(SimpleNamespace(_inner=inner))  # type: ignore[arg-type]


def in_pymerkle(index: int, size: int, path: list[bytes], head: bytes) -> None:
    document = Inclusion(tuple(path), Checkpoint(size, head, "", datetime(2026, 1, 1, tzinfo=UTC)))
    proof = MerkleProof.deserialize(document.for_pymerkle(index, leaves_of(ALL)[index]))
    pymerkle_inclusion(leaves_of(ALL)[index], head, proof, index=index + 1, size=size)


@pytest.mark.parametrize("verifier", [in_tlog_scales, in_metamorphic, in_scitt, in_sigstore, in_pymerkle])
def test_every_entry_of_every_tree_up_to_300_is_included(verifier: Callable[..., None]) -> None:
    for index, size, path in inclusions():
        verifier(index, size, path, root(size))
    with pytest.raises(Exception, match=r"."):
        verifier(5, ALL, inclusion(hashes_of(ALL), 6, ALL), root(ALL))
    with pytest.raises((Exception, AssertionError)):
        verifier(5, ALL, inclusion(hashes_of(ALL), 5, ALL), root(ALL - 1))


def from_tlog_scales(old: int, new: int, path: list[bytes], old_root: bytes) -> None:
    tlog.ConsistencyProof(old, new, path).check(old_root, root(new))


def from_metamorphic(old: int, new: int, path: list[bytes], old_root: bytes) -> None:
    if old % 5 != new % 5 and old not in (129, new - 1):
        return
    metamorphic_log.verify_consistency(old, new, path, old_root, root(new))


def from_scitt(old: int, new: int, path: list[bytes], old_root: bytes) -> None:
    hashes = [hashed.hex() for hashed in path]
    assert scitt_cose.verify_consistency(old_root.hex(), root(new).hex(), old, new, hashes)


@pytest.mark.parametrize("verifier", [from_tlog_scales, from_metamorphic, from_scitt])
def test_every_tree_up_to_300_extends_every_smaller_one(verifier: Callable[..., None]) -> None:
    for old, new, path in consistencies():
        verifier(old, new, path, root(old))
    with pytest.raises((Exception, AssertionError)):
        verifier(129, ALL, consistency(hashes_of(ALL), 129, ALL), root(128))


def test_every_root_up_to_300_is_the_same_elsewhere() -> None:
    theirs = InmemoryTree(algorithm="sha256")
    for number, data in enumerate(entries_of(ALL), start=1):
        theirs.append_entry(data)
        assert theirs.get_root() == root(number)
    for size in range(0, ALL + 1, 7):
        assert scitt_cose.merkle_root([one.hex() for one in entries_of(ALL)[:size]]) == root(size).hex()


def test_every_checkpoint_up_to_300_verifies_with_each_of_its_keys() -> None:
    keys = [*KEYS.vkeys, CLASSIC.vkey, MODERN.vkey]
    assert [vkey.algorithm for vkey in keys] == [0x01, 0x06, 0x04, 0x06]
    theirs = [signing.Vkey.from_string(str(vkey)) for vkey in keys]
    for size in range(0, ALL + 1, 3):
        note = note_of(head_of(size), CLASSIC, MODERN)
        parsed = tlog.Checkpoint.from_text(note)
        assert parsed.serialize() == note
        for vkey in theirs:
            parsed.verify(vkey)
        verified = metamorphic_log.checkpoint_verify(note, [str(KEYS.vkeys[0])])
        assert (verified.origin, verified.size, verified.root) == (KEYS.origin, size, root_of(leaves_of(ALL)[:size]))
        assert metamorphic_log.verify_signed_note(note, [str(KEYS.vkeys[0])]) == 1
    forged = tlog.Checkpoint.from_text(note_of(head_of(5), CLASSIC, MODERN).replace("\n5\n", "\n6\n", 1))
    for vkey in theirs:
        with pytest.raises(InvalidSignature):
            forged.verify(vkey)


def test_keys_and_signatures_of_another_program_verify_here() -> None:
    head = head_of(200)
    theirs = tlog.Checkpoint.make_signed(
        KEYS.origin,
        head.size,
        head.root,
        [
            signing.PlainEd25519Signer(KEYS.origin, KEYS.ed25519),
            signing.MLDSA44CosignatureSigner(KEYS.origin, KEYS.mldsa44),
        ],
    )
    assert checkpoint.verify(theirs.serialize(), KEYS.vkeys) == head
    for vkey in [*KEYS.vkeys, CLASSIC.vkey, MODERN.vkey]:
        assert signing.Vkey.from_string(str(vkey)).serialize() == str(vkey)


def sigstore_entry(index: int, note: str) -> Any:
    """What sigstore's verifiers read, filled from one of our receipts."""
    head = checkpoint.parse(note).head
    proof = SimpleNamespace(
        log_index=index,
        tree_size=head.size,
        hashes=inclusion(hashes_of(ALL), index, head.size),
        root_hash=head.root,
        checkpoint=SimpleNamespace(envelope=note),
    )
    key_id = KEYS.vkeys[0].key_id
    return SimpleNamespace(
        _inner=SimpleNamespace(
            inclusion_proof=proof, canonicalized_body=entries_of(ALL)[index], log_id=SimpleNamespace(key_id=key_id)
        )
    )


def test_sigstore_verifies_the_checkpoint_and_the_entry_under_it() -> None:
    key = KEYS.ed25519.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    details = sigstore_common.PublicKeyDetails.PKIX_ED25519
    ring: Any = Keyring([sigstore_common.PublicKey(raw_bytes=base64.b64encode(key), key_details=details)])
    for size in (1, 2, 255, 256, 257, 300):
        found = sigstore_entry(size // 2, note_of(head_of(size), CLASSIC, MODERN))
        verify_checkpoint(ring, found)
        verify_merkle_inclusion(found)
    found._inner.inclusion_proof.checkpoint.envelope = note_of(head_of(299))
    with pytest.raises(Exception, match="invalid root hash"):
        verify_checkpoint(ring, found)


@pytest.mark.parametrize("size", [1, 300])
def test_openssl_alone_verifies_the_log_and_the_witness(tmp_path: Path, size: int) -> None:
    head = head_of(size)
    body, log_line, _modern, witness_line = note_of(head, CLASSIC).replace("\n\n", "\n").rsplit("\n", 4)[:4]
    body += "\n"
    der = bytes.fromhex("302a300506032b6570032100")
    for vkey, line, message in (
        (KEYS.vkeys[0], log_line, body),
        (CLASSIC.vkey, witness_line, f"cosignature/v1\ntime {NOON}\n{body}"),
    ):
        (tmp_path / "key.der").write_bytes(der + vkey.public_key)
        (tmp_path / "signature").write_bytes(base64.b64decode(line.split()[2])[-64:])
        for text, expected in ((message, 0), (message.replace(f"\n{size}\n", "\n2\n"), 1)):
            (tmp_path / "message").write_text(text)
            command = "openssl pkeyutl -verify -pubin -keyform DER -inkey key.der -rawin -in message -sigfile signature"
            done = subprocess.run(command.split(), cwd=tmp_path, capture_output=True, text=True, check=False)
            assert done.returncode == expected, done.stderr


def test_every_receipt_of_a_tree_reads_back_and_verifies_here_and_elsewhere() -> None:
    policy = Policy.parse(f"witness a {CLASSIC.vkey}\nwitness b {MODERN.vkey}\ngroup both all a b\nquorum both\n")
    note = note_of(head_of(ALL), CLASSIC, MODERN)
    for index in range(0, ALL, 13):
        made = receipt.Receipt(
            index, tuple(inclusion(hashes_of(ALL), index, ALL)), note, b"extra" if index % 2 else b""
        )
        text = made.text()
        assert receipt.parse(text) == made
        assert receipt.verify(made, entries_of(ALL)[index], KEYS.vkeys, policy) == head_of(ALL)
        # The format, taken apart without our parser.
        first, _, given_note = text.partition("\n\n")
        assert given_note == note
        lines = [line for line in first.split("\n") if not line.startswith("extra ")]
        assert lines[:2] == ["c2sp.org/tlog-proof@v1", f"index {index}"]
        hashes = [base64.b64decode(line, validate=True) for line in lines[2:]]
        metamorphic_log.checkpoint_verify_inclusion(
            given_note, [str(KEYS.vkeys[0])], index, leaf_hash(entries_of(ALL)[index]), hashes
        )
    older, path = note_of(head_of(128)), consistency(hashes_of(ALL), 128, ALL)
    metamorphic_log.checkpoint_verify_consistency(older, note, [str(KEYS.vkeys[0])], path)


def test_the_entries_are_canonical_for_rfc8785_too() -> None:
    for data in entries_of(ALL):
        assert rfc8785.dumps(json.loads(data)) == data


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The log of 70,000 entries as static files, each hash tile as the sequencer's tree makes it."""
    folder = tmp_path_factory.mktemp("log")
    tree, full = GrowingTree(), {}
    data = [entry(number) for number in range(LARGE)]
    for one in data:
        for tile in tree.append(leaf_hash(one)):
            full[tile.level, tile.index] = tile.hashes
    for path, level, index, width in paths(LARGE):
        if level is None:
            content = tiles.bundle(data[index * 256 : index * 256 + width])
        elif width == 256:
            content = full[level, index]
        else:
            content = b"".join(tree.partial[level])
            assert len(content) == 32 * width
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    head = checkpoint.Head(KEYS.origin, LARGE, tree.root())
    (folder / "checkpoint").write_text(note_of(head, CLASSIC, MODERN), encoding="utf-8")
    return folder


def test_the_directory_of_70000_entries_is_read_and_proved_by_a_foreign_reader(directory: Path) -> None:
    theirs = reader.TilesReader(LocalBackend(directory))
    signed = theirs.get_checkpoint()
    signed.verify(signing.Vkey.from_string(str(KEYS.vkeys[0])))
    assert theirs.calculate_root_hash() == signed.root_hash
    ours = tiles.TileHashes(lambda level, index: _read(directory, level, index))
    note, keys = (directory / "checkpoint").read_text(encoding="utf-8"), [str(KEYS.vkeys[0])]
    for index in SOME:
        data = theirs.get_entry(index)
        assert data == entry(index)
        path = inclusion(ours, index, LARGE)
        assert theirs.get_inclusion_proof(index, LARGE).node_hashes == path
        metamorphic_log.checkpoint_verify_inclusion(note, keys, index, leaf_hash(data), path)
        hashes = [hashed.hex() for hashed in path]
        assert scitt_cose.verify_inclusion(data.hex(), index, LARGE, hashes, signed.root_hash.hex())
        receipt.verify(receipt.Receipt(index, tuple(path), note), data, KEYS.vkeys, None)
    for old in OLDER:
        path = consistency(ours, old, LARGE)
        assert theirs.get_consistency_proof(old, LARGE).node_hashes == path
        metamorphic_log.verify_consistency(old, LARGE, path, theirs.mth(0, old), signed.root_hash)


def test_the_directory_of_70000_entries_hashes_to_its_root_from_the_entries_alone(directory: Path) -> None:
    leaves = []
    for file in sorted((directory / "tile/entries").rglob("*")):
        if file.is_file():
            data = file.read_bytes()
            while data:
                length = int.from_bytes(data[:2])
                leaves.append(hashlib.sha256(b"\x00" + data[2 : 2 + length]).digest())
                data = data[2 + length :]
    assert len(leaves) == LARGE
    level = leaves
    while len(level) > 1:  # RFC 9162 section 2.1.1, written down here once more
        paired = [hashlib.sha256(b"\x01" + level[i] + level[i + 1]).digest() for i in range(0, len(level) - 1, 2)]
        level = paired + ([level[-1]] if len(level) % 2 else [])
    signed = tlog.Checkpoint.from_text((directory / "checkpoint").read_text(encoding="utf-8"))
    assert level[0] == signed.root_hash


@pytest.mark.parametrize(
    ("name", "index"),
    [
        ("tile/0/000", 1),
        ("tile/0/273.p/112", 69_999),
        ("tile/1/000", 300),
        ("tile/1/001.p/17", 69_999),
        ("tile/2/000.p/1", 69_999),
        ("tile/entries/000", 0),
        ("tile/entries/273.p/112", 69_888),
        ("checkpoint", 1),
    ],
)
def test_one_flipped_bit_in_any_kind_of_file_is_seen_from_outside(directory: Path, name: str, index: int) -> None:
    file = directory / name
    good = file.read_bytes()
    place = good.index(b"\n70000\n") + 9 if name == "checkpoint" else 5
    file.write_bytes(good[:place] + bytes([good[place] ^ 1]) + good[place + 1 :])
    try:
        theirs = reader.TilesReader(LocalBackend(directory))
        signed = theirs.get_checkpoint()
        proof, leaf = theirs.get_inclusion_proof(index, LARGE), leaf_hash(theirs.get_entry(index))
        with pytest.raises(tlog.InclusionProofInvalid):
            proof.check(leaf, signed.root_hash)
    finally:
        file.write_bytes(good)


def _read(directory: Path, level: int, index: int) -> bytes:
    found = directory / tiles.path(level, index)
    if found.exists():
        return found.read_bytes()
    return (directory / tiles.path(level, index, tiles.partial_width(LARGE, level))).read_bytes()
