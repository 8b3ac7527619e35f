"""Inclusion and consistency proofs: RFC 9162 sections 2.1.3 and 2.1.4. A proof is a list of 32-byte hashes."""

from __future__ import annotations

from collections.abc import Sequence

from audit.merkle.tree import EMPTY_ROOT, HASH_BYTES, Hashes, largest_power_below, node_hash, range_hash


class ProofInvalid(ValueError):  # noqa: N818
    """The proof does not show what it claims."""


def inclusion(hashes: Hashes, index: int, size: int) -> list[bytes]:
    """The siblings from leaf ``index`` to the root of the tree of ``size`` leaves. ``ValueError`` outside the tree."""
    if not 0 <= index < size:
        raise ValueError(f"leaf {index} is not in a tree of {size}")
    path: list[bytes] = []
    start, end = 0, size
    while end - start > 1:
        middle = start + largest_power_below(end - start)
        if index < middle:
            path.append(range_hash(hashes, middle, end))
            end = middle
        else:
            path.append(range_hash(hashes, start, middle))
            start = middle
    path.reverse()
    return path


def sides(index: int, size: int) -> list[int]:
    """For each hash of an inclusion proof whether it stands to the left (1) or to the right (0) of the running hash."""
    bits: list[int] = []
    node, last = index, size - 1
    while last:
        left = node & 1 or node == last
        bits.append(1 if left else 0)
        if left:
            while not node & 1 and node:
                node >>= 1
                last >>= 1
        node >>= 1
        last >>= 1
    return bits


def verify_inclusion(leaf: bytes, index: int, size: int, path: Sequence[bytes], root: bytes) -> None:
    """Raise ``ProofInvalid`` unless ``path`` leads from leaf hash ``leaf`` at ``index`` to ``root`` (2.1.3.2)."""
    if not 0 <= index < size:
        raise ProofInvalid(f"leaf {index} is not in a tree of {size}")
    _check_lengths([leaf, root, *path])
    node, last, hashed = index, size - 1, leaf
    for sibling in path:
        if last == 0:
            raise ProofInvalid("the proof has too many hashes")
        if node & 1 or node == last:
            hashed = node_hash(sibling, hashed)
            while not node & 1 and node:
                node >>= 1
                last >>= 1
        else:
            hashed = node_hash(hashed, sibling)
        node >>= 1
        last >>= 1
    if last:
        raise ProofInvalid("the proof has too few hashes")
    if hashed != root:
        raise ProofInvalid("the proof leads to another root")


def consistency(hashes: Hashes, old: int, new: int) -> list[bytes]:
    """The proof that the tree of ``new`` leaves begins with the tree of ``old``. Empty for 0 and for equal sizes."""
    if not 0 <= old <= new:
        raise ValueError(f"a tree of {new} does not extend a tree of {old}")
    if old in (0, new):
        return []
    path: list[bytes] = []
    start, end, whole = 0, new, True
    while old != end:
        middle = start + largest_power_below(end - start)
        if old <= middle:
            path.append(range_hash(hashes, middle, end))
            end = middle
        else:
            path.append(range_hash(hashes, start, middle))
            start, whole = middle, False
    if not whole:
        path.append(range_hash(hashes, start, end))
    path.reverse()
    return path


def verify_consistency(old: int, new: int, old_root: bytes, new_root: bytes, path: Sequence[bytes]) -> None:
    """Raise ``ProofInvalid`` unless ``path`` shows that the new tree only appended to the old one (2.1.4.2)."""
    if not 0 <= old <= new:
        raise ProofInvalid(f"a tree of {new} does not extend a tree of {old}")
    _check_lengths([old_root, new_root, *path])
    if old == 0 and old_root != EMPTY_ROOT:
        raise ProofInvalid("the old root is not that of an empty tree")
    if old in (0, new):
        if path:
            raise ProofInvalid("the proof has too many hashes")
        if old == new and old_root != new_root:
            raise ProofInvalid("two roots for one size")
        return
    hashes = list(path) if old & (old - 1) else [old_root, *path]
    if not hashes:
        raise ProofInvalid("the proof has too few hashes")
    node, last = old - 1, new - 1
    while node & 1:
        node >>= 1
        last >>= 1
    from_old = from_new = hashes[0]
    for sibling in hashes[1:]:
        if last == 0:
            raise ProofInvalid("the proof has too many hashes")
        if node & 1 or node == last:
            from_old, from_new = node_hash(sibling, from_old), node_hash(sibling, from_new)
            while not node & 1 and node:
                node >>= 1
                last >>= 1
        else:
            from_new = node_hash(from_new, sibling)
        node >>= 1
        last >>= 1
    if last:
        raise ProofInvalid("the proof has too few hashes")
    if from_old != old_root:
        raise ProofInvalid("the proof leads to another old root")
    if from_new != new_root:
        raise ProofInvalid("the proof leads to another new root")


def _check_lengths(hashes: Sequence[bytes]) -> None:
    if any(len(hashed) != HASH_BYTES for hashed in hashes):
        raise ProofInvalid("a hash has not 32 bytes")
