"""Hashing and proofs, against known answers and pymerkle; ``test_independent_verifiers`` has the others."""

from __future__ import annotations

import hashlib

from pymerkle import InmemoryTree, MerkleProof
from pymerkle import verify_inclusion as pymerkle_verify

from audit.merkle import tiles
from audit.merkle.proofs import (
    consistency,
    inclusion,
    sides,
    verify_inclusion,
)
from audit.merkle.tree import EMPTY_ROOT, GrowingTree, LeafHashes, leaf_hash, root_of

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
