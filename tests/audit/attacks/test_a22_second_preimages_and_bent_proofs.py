"""A22: entries that look like inner nodes, and proofs with hashes added, taken away, doubled, swapped or out of place.

Three verifiers that are not ours see the same proofs: whatever is done to one, all must come to the same verdict.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Callable

import metamorphic_log
import pytest
import scitt_cose
from hypothesis import given, settings
from hypothesis import strategies as st
from tlog_scales import tlog

from audit.merkle import receipt
from audit.merkle.proofs import ProofInvalid, consistency, inclusion, verify_consistency, verify_inclusion
from audit.merkle.receipt import Receipt, ReceiptInvalid
from audit.merkle.tree import EMPTY_ROOT, LeafHashes, leaf_hash, node_hash, root_of
from tests.audit.notes import CLASSIC, KEYS, entries_of, hashes_of, head_of, leaves_of, note_of

MOST = 300
LEAVES, HASHES, ENTRIES = leaves_of(MOST), hashes_of(MOST), entries_of(MOST)
SIZES = st.integers(1, MOST)


@st.composite
def bent(draw: st.DrawFn, path: list[bytes]) -> list[bytes]:
    """A proof with something done to it; sometimes nothing."""
    wrong = list(path)
    for _ in range(draw(st.integers(0, 2))):
        place = draw(st.integers(0, len(wrong)))
        what = draw(st.sampled_from(["add", "take", "double", "swap", "change", "leaf"]))
        if what in ("add", "leaf"):
            wrong.insert(place, draw(st.sampled_from(LEAVES)) if what == "leaf" else bytes(32))
        elif wrong and place < len(wrong):
            if what == "take":
                del wrong[place]
            elif what == "double":
                wrong.insert(place, wrong[place])
            elif what == "swap":
                wrong[place], wrong[-1] = wrong[-1], wrong[place]
            else:
                wrong[place] = bytes([wrong[place][0] ^ 1]) + wrong[place][1:]
    return wrong


def _holds(check: Callable[[], object]) -> bool:
    try:
        return check() is not False
    except (ProofInvalid, metamorphic_log.VerifyError, tlog.InclusionProofInvalid, tlog.ConsistencyProofInvalid):
        return False


@settings(deadline=None, max_examples=300)
@given(SIZES, st.data())
def test_everybody_comes_to_the_same_verdict_about_a_bent_inclusion_proof(size: int, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, size - 1))
    true_path = inclusion(HASHES, index, size)
    path = data.draw(bent(true_path))
    claimed = data.draw(st.just(index) | st.integers(0, size + 2))
    claimed_size = data.draw(st.just(size) | st.integers(0, MOST))
    root = root_of(LEAVES[: data.draw(st.just(size) | SIZES)])
    hexes = [hashed.hex() for hashed in path]
    entry, leaf = ENTRIES[index], LEAVES[index]
    verdicts = {
        "ours": _holds(lambda: verify_inclusion(leaf, claimed, claimed_size, path, root)),
        "tlog-scales": _holds(lambda: tlog.InclusionProof(claimed, claimed_size, path).check(leaf, root)),
        "metamorphic": _holds(lambda: metamorphic_log.verify_inclusion(claimed, claimed_size, leaf, path, root)),
        "scitt-cose": _holds(
            lambda: scitt_cose.verify_inclusion(entry.hex(), claimed, claimed_size, hexes, root.hex())
        ),
    }
    assert len(set(verdicts.values())) == 1, verdicts
    untouched = (path, claimed, claimed_size, root) == (true_path, index, size, root_of(LEAVES[:size]))
    assert verdicts["ours"] or not untouched


@settings(deadline=None, max_examples=300)
@given(SIZES, SIZES, st.data())
def test_everybody_comes_to_the_same_verdict_about_a_bent_consistency_proof(
    first: int, second: int, data: st.DataObject
) -> None:
    old, new = sorted((first, second))
    true_path = consistency(HASHES, old, new)
    path = data.draw(bent(true_path))
    claimed_old, claimed_new = data.draw(st.just((old, new)) | st.just((new, old)) | st.tuples(SIZES, SIZES))
    old_root, new_root = (root_of(LEAVES[: data.draw(st.just(size) | SIZES)]) for size in (old, new))
    hexes = [hashed.hex() for hashed in path]
    verdicts = {
        "ours": _holds(lambda: verify_consistency(claimed_old, claimed_new, old_root, new_root, path)),
        "tlog-scales": _holds(lambda: tlog.ConsistencyProof(claimed_old, claimed_new, path).check(old_root, new_root)),
        "metamorphic": _holds(
            lambda: metamorphic_log.verify_consistency(claimed_old, claimed_new, path, old_root, new_root)
        ),
        "scitt-cose": _holds(
            lambda: scitt_cose.verify_consistency(old_root.hex(), new_root.hex(), claimed_old, claimed_new, hexes)
        ),
    }
    assert len(set(verdicts.values())) == 1, verdicts
    untouched = (path, claimed_old, claimed_new) == (true_path, old, new)
    if untouched and (old_root, new_root) == (root_of(LEAVES[:old]), root_of(LEAVES[:new])):
        assert verdicts["ours"]


def test_a_proof_with_a_changed_missing_extra_or_doubled_hash_is_refused_for_every_size() -> None:
    for size in range(1, MOST + 1):
        index = size * 7 % size if size < 3 else size * 5 // 7
        root, path = root_of(LEAVES[:size]), inclusion(HASHES, index, size)
        verify_inclusion(LEAVES[index], index, size, path, root)
        wrong = [[*path, os.urandom(32)], [os.urandom(32), *path], [*path, root], [*path, b""], [*path, bytes(33)]]
        for place in range(len(path)):
            wrong.append([*path[:place], *path[place + 1 :]])
            wrong.append([*path[: place + 1], *path[place:]])
            wrong.append([*path[:place], os.urandom(32), *path[place + 1 :]])
            wrong.append([*path[:place], path[place][:31], *path[place + 1 :]])
        for bad in wrong:
            with pytest.raises(ProofInvalid):
                verify_inclusion(LEAVES[index], index, size, bad, root)
        for elsewhere in {index - 1, index + 1, size, size + 1, -1, 2**63} - {index}:
            with pytest.raises(ProofInvalid):
                verify_inclusion(LEAVES[index], elsewhere, size, path, root)


def test_the_empty_tree_contains_nothing_and_is_extended_by_every_tree_without_a_proof() -> None:
    with pytest.raises(ProofInvalid):
        verify_inclusion(LEAVES[0], 0, 0, [], EMPTY_ROOT)
    verify_consistency(0, 9, EMPTY_ROOT, root_of(LEAVES[:9]), [])
    verify_consistency(0, 0, EMPTY_ROOT, EMPTY_ROOT, [])
    for arguments in (
        (0, 9, EMPTY_ROOT, root_of(LEAVES[:9]), [LEAVES[0]]),
        (0, 9, root_of(LEAVES[:1]), root_of(LEAVES[:9]), []),
        (0, 0, EMPTY_ROOT, root_of(LEAVES[:1]), []),
        (9, 0, root_of(LEAVES[:9]), EMPTY_ROOT, []),
        (-1, 9, EMPTY_ROOT, root_of(LEAVES[:9]), []),
    ):
        with pytest.raises(ProofInvalid):
            verify_consistency(*arguments)


def test_one_size_has_one_root_and_no_proof() -> None:
    for size in (1, 2, 3, 128, 129, MOST):
        root = root_of(LEAVES[:size])
        verify_consistency(size, size, root, root, [])
        for bad_root, path in ((os.urandom(32), []), (root, [root])):
            with pytest.raises(ProofInvalid):
                verify_consistency(size, size, root, bad_root, path)


def test_an_entry_that_equals_an_inner_node_is_not_taken_for_one() -> None:
    left, right = leaf_hash(b"a"), leaf_hash(b"b")
    root = node_hash(left, right)
    for forged in (left + right, b"\x01" + left + right, b"\x00" + left + right):
        assert leaf_hash(forged) != root
        with pytest.raises(ProofInvalid):
            verify_inclusion(leaf_hash(forged), 0, 1, [], root)


def test_entries_of_64_and_65_bytes_that_hold_hashes_are_leaves_like_any_other() -> None:
    inner = [node_hash(LEAVES[0], LEAVES[1]), LEAVES[0] + LEAVES[1], b"\x01" + LEAVES[0] + LEAVES[1]]
    leaves = [leaf_hash(data) for data in inner]
    hashes, root = LeafHashes(leaves), root_of(leaves)
    for index in range(3):
        verify_inclusion(leaves[index], index, 3, inclusion(hashes, index, 3), root)
        with pytest.raises(ProofInvalid):
            verify_inclusion(inner[index][:32], index, 3, inclusion(hashes, index, 3), root)


def test_a_subtree_is_not_passed_off_as_an_entry() -> None:
    # The inner node over leaves 0 and 1 at its own height: index 0 of a tree of half the size.
    root, path = root_of(LEAVES[:4]), inclusion(HASHES, 0, 4)
    with pytest.raises(ProofInvalid):
        verify_inclusion(node_hash(LEAVES[0], LEAVES[1]), 0, 4, path[1:], root)
    node = LEAVES[0] + LEAVES[1]
    with pytest.raises(ReceiptInvalid):
        receipt.verify(Receipt(0, tuple(path[1:]), note_of(head_of(4))), node, KEYS.vkeys, None)


GOOD = Receipt(5, tuple(inclusion(HASHES, 5, MOST)), note_of(head_of(MOST), CLASSIC))
TEXT = GOOD.text()


@pytest.mark.parametrize(
    "bad",
    [
        "",
        TEXT[:-1],
        TEXT.replace("@v1", "@v2"),
        TEXT.replace("\n", "\r\n"),
        TEXT.replace("index 5", "index 05"),
        TEXT.replace("index 5", "index -5"),
        TEXT.replace("index 5", "index 5 "),
        TEXT.replace("index 5", "index \u0665"),
        TEXT.replace("index 5", "index 9223372036854775808"),
        TEXT.replace("index 5\n", ""),
        TEXT.replace("index 5\n", "index 5\nindex 5\n"),
        TEXT.replace("index 5\n", "extra \nindex 5\n"),
        TEXT.replace("index 5\n", "extra !\nindex 5\n"),
        TEXT.replace("index 5\n", "extra QQ==\nextra QQ==\nindex 5\n"),
        TEXT.replace("index 5\n", "index 5\nextra QQ==\n"),
        TEXT.replace("index 5\n", "index 5\nAAAA\n"),
        TEXT.replace("index 5\n", "index 5\n" + (base64.b64encode(bytes(32)).decode() + "\n") * 64),
        TEXT.replace("\n\n", "\n", 1),
        TEXT.replace("\n\n", "\n\n\n", 1),
        TEXT.replace("=\n", "\n", 1),
        " " + TEXT,
        "\ufeff" + TEXT,
        TEXT + "\n",
    ],
)
def test_a_receipt_a_byte_away_from_its_format_is_refused(bad: str) -> None:
    assert receipt.verify(receipt.parse(TEXT), ENTRIES[5], KEYS.vkeys, None) == head_of(MOST)
    with pytest.raises(ReceiptInvalid):
        receipt.parse(bad)


@settings(deadline=None)
@given(st.data())
def test_no_single_changed_byte_of_a_receipt_goes_unnoticed(data: st.DataObject) -> None:
    raw = bytearray(Receipt(5, GOOD.path, GOOD.note.partition("\u2014 witness")[0]).text().encode())
    place = data.draw(st.integers(0, len(raw) - 1))
    raw[place] ^= data.draw(st.integers(1, 255))
    with pytest.raises((ReceiptInvalid, UnicodeDecodeError)):
        receipt.verify(receipt.parse(raw.decode()), ENTRIES[5], KEYS.vkeys, None)
