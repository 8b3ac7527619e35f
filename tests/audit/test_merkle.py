"""Hashing and proofs, against known answers and two implementations that are not ours."""

from __future__ import annotations

import hashlib
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymerkle import InmemoryTree, MerkleProof
from pymerkle import verify_inclusion as pymerkle_verify
from tlog_scales import tlog

from audit.merkle import tiles
from audit.merkle.proofs import (
    ProofInvalid,
    consistency,
    inclusion,
    sides,
    verify_consistency,
    verify_inclusion,
)
from audit.merkle.tree import EMPTY_ROOT, GrowingTree, LeafHashes, leaf_hash, node_hash, root_of

# The eight inputs and their roots that the reference implementations of RFC 6962 are tested with.
INPUTS = [
    bytes.fromhex(text)
    for text in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
LEAVES = [leaf_hash(str(number).encode()) for number in range(300)]
HASHES = LeafHashes(LEAVES)


def test_the_roots_are_the_known_answers_of_rfc_6962() -> None:
    assert hashlib.sha256(b"").digest() == EMPTY_ROOT == root_of([])
    leaves = [leaf_hash(data) for data in INPUTS]
    assert [root_of(leaves[: size + 1]).hex() for size in range(8)] == ROOTS


def test_root_inclusion_and_consistency_agree_with_pymerkle_for_every_tree_up_to_100() -> None:
    theirs = InmemoryTree(algorithm="sha256")
    for size in range(1, 101):
        theirs.append_entry(str(size - 1).encode())
        root = root_of(LEAVES[:size])
        assert theirs.get_root() == root
        for index in range(size):
            path = inclusion(HASHES, index, size)
            proof = theirs.prove_inclusion(index + 1)
            assert proof.serialize()["path"] == [hashed.hex() for hashed in (LEAVES[index], *path)]
            assert proof.serialize()["rule"] == [*sides(index, size), 0]
            pymerkle_verify(LEAVES[index], root, MerkleProof.deserialize(proof.serialize()))
            verify_inclusion(LEAVES[index], index, size, path, root)


def test_proofs_agree_with_tlog_scales_for_every_pair_of_sizes_up_to_100() -> None:
    for size in range(1, 101):
        root = root_of(LEAVES[:size])
        for index in range(size):
            tlog.InclusionProof(index, size, inclusion(HASHES, index, size)).check(LEAVES[index], root)
        for old in range(1, size + 1):
            path = consistency(HASHES, old, size)
            verify_consistency(old, size, root_of(LEAVES[:old]), root, path)
            tlog.ConsistencyProof(old, size, path).check(root_of(LEAVES[:old]), root)


@given(st.integers(1, 300), st.data())
def test_a_proof_with_a_changed_missing_extra_or_doubled_hash_is_refused(size: int, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, size - 1))
    root, path = root_of(LEAVES[:size]), inclusion(HASHES, index, size)
    wrong = [[*path, os.urandom(32)], [os.urandom(32), *path]]
    if path:
        place = data.draw(st.integers(0, len(path) - 1))
        wrong += [path[:-1], path[1:], [*path[:place], path[place], *path[place:]]]
        wrong.append([*path[:place], os.urandom(32), *path[place + 1 :]])
        wrong.append([*path[:place], path[place][:31], *path[place + 1 :]])
    for bad in wrong:
        with pytest.raises(ProofInvalid):
            verify_inclusion(LEAVES[index], index, size, bad, root)
    for place in (index + 1, index - 1, size, -1):
        if place != index and not (0 <= place < size and LEAVES[place] == LEAVES[index]):
            with pytest.raises(ProofInvalid):
                verify_inclusion(LEAVES[index], place, size, path, root)


@given(st.integers(0, 300), st.integers(0, 300))
def test_a_consistency_proof_holds_for_its_own_two_trees_only(first: int, second: int) -> None:
    old, new = sorted((first, second))
    old_root, new_root, path = root_of(LEAVES[:old]), root_of(LEAVES[:new]), consistency(HASHES, old, new)
    verify_consistency(old, new, old_root, new_root, path)
    for bad in ([*path, os.urandom(32)], [os.urandom(32), *path[1:]] if path else [os.urandom(32)]):
        with pytest.raises(ProofInvalid):
            verify_consistency(old, new, old_root, new_root, bad)
    if old != new and old:
        with pytest.raises(ProofInvalid):
            verify_consistency(old, new, os.urandom(32), new_root, path)
        with pytest.raises(ProofInvalid):
            verify_consistency(old, new, old_root, os.urandom(32), path)
        with pytest.raises(ProofInvalid):
            verify_consistency(new, old, new_root, old_root, path)


def test_an_entry_that_equals_an_inner_node_is_not_taken_for_one() -> None:
    left, right = leaf_hash(b"a"), leaf_hash(b"b")
    root = node_hash(left, right)
    for forged in (left + right, b"\x01" + left + right):
        assert leaf_hash(forged) != root
        with pytest.raises(ProofInvalid):
            verify_inclusion(leaf_hash(forged), 0, 1, [], root)


def test_the_growing_tree_and_its_tiles_give_the_same_root_and_proofs_as_the_leaves() -> None:
    leaves = [leaf_hash(number.to_bytes(4)) for number in range(66_000)]
    growing, full = GrowingTree(), {}
    for leaf in leaves:
        for tile in growing.append(leaf):
            full[tile.level, tile.index] = tile
    assert {level for level, _index in full} == {0, 1}
    memory = LeafHashes(leaves)
    assert growing.root() == root_of(leaves)

    def fetch(level: int, index: int) -> bytes:
        if (level, index) in full:
            return full[level, index].hashes
        return b"".join(growing.partial[level])

    stored = tiles.TileHashes(fetch)
    for index in (0, 255, 256, 65_535, 65_536, 65_999):
        assert inclusion(stored, index, 66_000) == inclusion(memory, index, 66_000)
    for old in (1, 256, 65_536, 65_537, 65_999):
        assert consistency(stored, old, 66_000) == consistency(memory, old, 66_000)


def test_tiles_are_named_as_c2sp_says() -> None:
    assert tiles.path(0, 1234067) == "tile/0/x001/x234/067"
    assert tiles.path("entries", 0, 17) == "tile/entries/000.p/17"
    assert tiles.partial_width(70_000, 0) == 112
    assert tiles.partial_width(70_000, 1) == 17
    assert tiles.bundle([b"ab", b""]) == b"\x00\x02ab\x00\x00"
