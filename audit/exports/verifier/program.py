"""The third part of ``verify.py``: what is checked in a bundle, and how the verdict is told."""

from __future__ import annotations

import argparse
import json
import os
import re
import struct
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from audit.exports.verifier.formats import (
    FIRST,
    MANIFEST,
    MAX_FINDINGS,
    MAX_SMALL,
    PAYLOAD_TYPE,
    PREDICATE,
    STATEMENT,
    SUMS,
    Bundle,
    Defect,
    Key,
    Note,
    Unable,
    ed25519,
    extends,
    included,
    leaf_hash,
    node,
    parse_key,
    require_ed25519,
    root_of,
    tile_path,
    unbase64,
)
from audit.exports.verifier.told import Policy, Told


# ── cut here ──
# ── the checks ───────────────────────────────────────────────────────────────────────────────────────────────────────
class Verification:
    """One bundle against the reader's keys. ``passed`` and ``notes`` are what the verdict tells."""

    def __init__(self, bundle: Bundle, keys: list[Key], policy: Policy | None, kept: list[Note]) -> None:
        self.bundle, self.keys, self.policy, self.kept = bundle, keys, policy, kept
        self.passed: list[str] = []
        self.notes: list[str] = []
        self.facts: dict[str, Any] = {}
        self.head = Note(bundle.read(FIRST), FIRST)
        self.predicate: dict[str, Any] = {}

    def run(self) -> None:
        """Every check, each on its own, so that one defect does not hide the next."""
        self._guard(self.signature)
        self._guard(self.manifest)
        self._guard(self.digests)
        self._guard(self.entries)
        self._guard(self.history)
        self._guard(self.witnessed)

    def _guard(self, check: Any) -> None:
        before = len(self.bundle.findings)
        try:
            said = check()
        except Defect as defect:
            self.bundle.report(str(defect))
        except (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError, struct.error) as error:
            self.bundle.report("%s: malformed (%s)" % (check.__name__, type(error).__name__))
        else:
            if said and len(self.bundle.findings) == before:
                self.passed.append(said)

    def signature(self) -> str:
        """The checkpoint is signed by a key of the reader."""
        note = self.head
        own = [key for key in self.keys if key.kind == 1 and key.name == note.origin]
        if not own:
            raise Unable(
                "you gave no Ed25519 key of the log %a; the keys are of %s"
                % (note.origin, ", ".join(sorted({ascii(key.name) for key in self.keys})))
            )
        signing = [key for key in own if note.signed_by(key)]
        if not signing:
            found = ", ".join(data[:4].hex() for name, data in note.signatures if name == note.origin)
            raise Defect(
                "the key was replaced: the checkpoint is signed by the keys %s, not by yours (%s)"
                % (found or "of others", ", ".join(key.key_id.hex() for key in own))
            )
        for kept in self.kept:
            if kept.origin == note.origin and kept.size == note.size and kept.root != note.root:
                raise Defect("the checkpoint that you kept has another root for the same size %d" % note.size)
        self.facts.update(origin=note.origin, size=note.size, root=note.root.hex())
        return "the checkpoint of size %d is signed by the log %s" % (note.size, note.origin)

    def manifest(self) -> str:
        """The manifest (in-toto Statement in a DSSE envelope) is signed by the same log and names this checkpoint."""
        envelope = json.loads(self.bundle.read(MANIFEST))
        payload = unbase64(envelope["payload"])
        kind = envelope["payloadType"].encode()
        pae = b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)
        good = False
        for signature in envelope["signatures"]:
            for key in self.keys:
                if (key.name, key.kind, key.key_id.hex()) == (self.head.origin, 1, signature["keyid"]):
                    if not ed25519(key.public, pae, unbase64(signature["sig"])):
                        raise Defect("%s: the signature does not hold" % MANIFEST)
                    good = True
        if not good or envelope["payloadType"] != PAYLOAD_TYPE:
            raise Defect("%s is not signed by your key: the key was replaced" % MANIFEST)
        statement = json.loads(payload)
        if (statement["_type"], statement["predicateType"]) != (STATEMENT, PREDICATE):
            raise Defect("%s is not the manifest of a bundle" % MANIFEST)
        self.predicate = statement["predicate"]
        named = Note(self.predicate["checkpoint"].encode(), MANIFEST)
        if named.body != self.head.body:
            raise Defect("%s names another checkpoint than the file %s" % (MANIFEST, FIRST))
        for subject in statement["subject"]:
            member = self.bundle.members.get(subject["name"])
            if member is None or member.sha256 != subject["digest"]["sha256"]:
                self.bundle.report(
                    "%s is %s"
                    % (subject["name"], "missing" if member is None else "not the file whose digest the manifest signs")
                )
        if SUMS not in [subject["name"] for subject in statement["subject"]]:
            raise Defect("%s does not sign %s" % (MANIFEST, SUMS))
        return "the manifest is signed by the log and names this checkpoint"

    def digests(self) -> str:
        """Every file but the two that sign is listed with its digest, and nothing else is there."""
        left: set[str] = set(self.bundle.members) - {SUMS, MANIFEST}
        for line in self.bundle.lines(SUMS):
            digest, _space, name = line.decode("ascii").partition("  ")
            member = self.bundle.members.get(name)
            if member is None or name not in left:
                self.bundle.report("%a is listed in %s and is missing" % (name, SUMS))
                continue
            left.discard(name)
            if member.sha256 != digest:
                self.bundle.report("%s was changed: its digest is not the one in %s" % (name, SUMS))
        for name in sorted(left)[:MAX_FINDINGS]:
            self.bundle.report("%s was added: it is not listed in %s" % (name, SUMS))
        return "%d files have the digests that were signed" % len(self.bundle.members)

    # ── entries ──────────────────────────────────────────────────────────────────────────────────────────────────────
    def entries(self) -> str:
        """Each entry is in the signed tree; what is told about entries is what they committed to."""
        whole = "tile/0/000" in self.bundle.members or tile_path(0, 0, min(self.head.size, 256)) in self.bundle.members
        told = Told(self.bundle)
        count = 0
        for index, entry in self.all_entries() if whole else self.chosen_entries():
            told.about(index, entry)
            count += 1
        told.finish()
        promised = self.predicate.get("entries", count)
        if count != promised or (self.predicate and bool(self.predicate["selection"].get("everything")) != whole):
            raise Defect(
                "the manifest promises %s entries and the bundle holds %d: entries were dropped or added"
                % (promised, count)
            )
        self.facts.update(
            entries=count, everything=whole, disclosed=told.disclosed, erased=told.erased, documents=told.documents
        )
        self.notes += told.notes
        if whole:
            return "all %d entries of the log were hashed again and give the signed root" % count
        self.notes.append("a selection: each entry is proved to be in the log; that none was left out is not proved")
        return "each of the %d chosen entries is proved to be in the signed tree" % count

    def all_entries(self) -> Iterator[tuple[int, bytes]]:
        """Entry bundle by entry bundle; every tile is computed again and compared with its file."""
        size, levels = self.head.size, [[]]  # type: int, list[list[bytes]]
        expected = {name for name in self.bundle.members if name.startswith("tile/")}
        for number in range((size + 255) // 256):
            width = min(256, size - number * 256)
            data = self.bundle.read(tile_path("entries", number, width), 256 * 65537)
            tile = self.bundle.read(tile_path(0, number, width))
            expected -= {tile_path("entries", number, width), tile_path(0, number, width)}
            stored = [tile[i : i + 32] for i in range(0, len(tile), 32)]
            found, position = [], 0
            while position < len(data):
                length = int.from_bytes(data[position : position + 2], "big")
                entry = data[position + 2 : position + 2 + length]
                position += 2 + length
                found.append(leaf_hash(entry))
                yield number * 256 + len(found) - 1, entry
            self._same_leaves(number, width, found, stored)
            levels[0] = found
            self._carry(levels, number, expected)
        root = None
        for level, hashes in enumerate(levels):
            if hashes and len(hashes) < 256 and level:
                self._same_tile(level, (size >> 8 * level) >> 8, hashes, expected)
            for width in (1 << bit for bit in range(9) if len(hashes) & (1 << bit)):
                peak, hashes = root_of(hashes[len(hashes) - width :]), hashes[: len(hashes) - width]
                root = peak if root is None else node(peak, root)
        if root != self.head.root:
            raise Defect("the entries give another root than the signed one")
        for name in sorted(expected):
            self.bundle.report("%s is no tile of a log of %d entries" % (name, size))

    def _same_leaves(self, number: int, width: int, found: list[bytes], stored: list[bytes]) -> None:
        if len(found) != width:
            self.bundle.report(
                "entries %d to %d: the bundle holds %d of %d: entries were dropped or added"
                % (number * 256, number * 256 + width - 1, len(found), width)
            )
        for offset, (one, other) in enumerate(zip(found, stored)):  # noqa: B905  Python 3.8 has no strict
            if one != other:
                place = stored.index(one) if one in stored else -1
                self.bundle.report(
                    "entry %d is not the one that was recorded%s"
                    % (
                        number * 256 + offset,
                        ": entry %d stands in its place" % (number * 256 + place) if place >= 0 else "",
                    )
                )
        if len(stored) != width:
            self.bundle.report("%s has a wrong length" % tile_path(0, number, width))

    def _carry(self, levels: list[list[bytes]], number: int, expected: set[str]) -> None:
        level = 0
        while len(levels[level]) == 256:
            if level:
                self._same_tile(level, number >> 8 * level, levels[level], expected)
            if level + 1 == len(levels):
                levels.append([])
            levels[level + 1].append(root_of(levels[level]))
            levels[level] = []
            level += 1

    def _same_tile(self, level: int, number: int, hashes: list[bytes], expected: set[str]) -> None:
        name = tile_path(level, number, len(hashes))
        expected.discard(name)
        if self.bundle.read(name) != b"".join(hashes):
            self.bundle.report("%s does not hold the hashes of the entries below it" % name)

    def chosen_entries(self) -> Iterator[tuple[int, bytes]]:
        """Each entry with its receipt (C2SP tlog-proof) against the one checkpoint."""
        checkpoint = self.bundle.read(FIRST)
        names = [name for name in self.bundle.members if name.startswith("entries/") and name.endswith(".json")]
        numbers = sorted(int(name[8:-5]) for name in names)
        proofs = sum(name.startswith("entries/") for name in self.bundle.members) - len(names)
        if proofs != len(names):
            self.bundle.report("the bundle holds %d entries and %d receipts" % (len(names), proofs))
        for index in numbers:
            entry = self.bundle.read("entries/%d.json" % index)
            yield index, entry
            proof = self.bundle.read("entries/%d.tlog-proof" % index)
            lines, blank, note = proof.partition(b"\n\n")
            first, number, *path = lines.decode().split("\n")
            if first != "c2sp.org/tlog-proof@v1" or number != "index %d" % index or not blank or note != checkpoint:
                self.bundle.report("the receipt of entry %d is malformed or of another checkpoint" % index)
            elif not included(leaf_hash(entry), index, self.head.size, [unbase64(p) for p in path], self.head.root):
                self.bundle.report("entry %d is not the one that was recorded: its proof leads to another root" % index)

    # ── what surrounds the entries ───────────────────────────────────────────────────────────────────────────────────
    def history(self) -> str:
        """Earlier checkpoints are beginnings of this tree."""
        said = []
        for name in sorted(self.bundle.members):
            found = re.match(r"history/([1-9][0-9]*)\.checkpoint\Z", name)
            if not found:
                continue
            note = Note(self.bundle.read(name), name)
            if note.origin != self.head.origin or str(note.size) != found.group(1):
                raise Defect("%s is of another log or size" % name)
            if not [key for key in self.keys if key.kind == 1 and note.signed_by(key)]:
                raise Defect("%s is not signed by your key" % name)
            first, *path = self.bundle.read("history/%d.consistency" % note.size).decode()[:-1].split("\n")
            hashes = [unbase64(line) for line in path]
            if first != "old %d" % note.size or not extends(
                note.size, self.head.size, note.root, self.head.root, hashes
            ):
                raise Defect("the log was rewritten: it does not extend the checkpoint of size %d" % note.size)
            for kept in self.kept:
                if (kept.origin, kept.size) == (note.origin, note.size) and kept.root != note.root:
                    raise Defect("the checkpoint that you kept has another root for size %d" % kept.size)
            said.append(str(note.size))
        stamps = sum(name.endswith(".tsr") for name in self.bundle.members)
        if stamps:
            self.notes.append(
                "%d RFC 3161 timestamps in history/ are not checked here: openssl ts -verify -in X.tsr "
                "-data X.note -CAfile your-authority.pem" % stamps
            )
        sizes = {self.head.size, *map(int, said)}
        self.notes += [
            "the checkpoint of size %d that you kept is not compared: the bundle has no proof for it" % k.size
            for k in self.kept
            if k.origin != self.head.origin or k.size not in sizes
        ]
        return "the tree extends the earlier checkpoints of size %s" % ", ".join(said) if said else ""

    def witnessed(self) -> str:
        """The reader's witnesses, if a policy was given, saw the tree."""
        if self.policy is None:
            self.notes.append("not witnessed: without --policy no witness is known to you")
            return ""
        notes = [self.head]
        notes += [
            Note(self.bundle.read(n), n) for n in self.bundle.members if re.match(r"history/\d+\.checkpoint\Z", n)
        ]
        for note in sorted(notes, key=lambda each: -each.size):
            names = self.policy.witnesses(note)
            if names:
                self.facts["witnessed"] = note.size
                return "witnessed up to size %d by %s" % (note.size, ", ".join(names))
        self.notes.append("not witnessed: no checkpoint in the bundle has the cosignatures that your policy asks for")
        return ""


# ── the program ──────────────────────────────────────────────────────────────────────────────────────────────────────
def given(texts: Sequence[str]) -> list[str]:
    """Each argument, or the lines of the file that it names."""
    found: list[str] = []
    for text in texts:
        if os.path.isfile(text):
            with open(text, encoding="utf-8") as file:
                found += [line.strip() for line in file if line.strip()]
        else:
            found.append(text)
    return found


def examine(arguments: argparse.Namespace) -> dict[str, Any]:
    """The verdict as a document. Raises ``Unable`` or ``Defect`` when it ends early."""
    with open(arguments.bundle, "rb") as file:
        bundle = Bundle(file, arguments.bundle)
        if not arguments.key:
            ids = [data[:4].hex() for _name, data in Note(bundle.read(FIRST), FIRST).signatures]
            raise Unable(
                "no --key was given. The bundle says that it is signed by the keys %s; that is not verified. "
                "Get the log's key from somewhere else and give it with --key" % ", ".join(ids)
            )
        keys = [parse_key(text) for text in given(arguments.key)]
        require_ed25519()
        policy = Policy("\n".join(given([arguments.policy]))) if arguments.policy else None
        kept = []
        for path in arguments.kept:
            with open(path, "rb") as other:
                kept.append(Note(other.read(MAX_SMALL), path))
        work = Verification(bundle, keys, policy, kept)
        try:
            work.run()
        except Unable:
            if not bundle.findings:  # bytes that are not what they were are a defect, whoever signed them
                raise
        verdict = "failed" if bundle.findings else "verified"
        return {
            "verdict": verdict,
            "findings": bundle.findings,
            "passed": work.passed,
            "notes": work.notes,
            "facts": work.facts,
        }


def main(argv: Sequence[str] | None = None) -> int:
    """Verify, tell, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle")
    parser.add_argument("--key", action="append", default=[], help="a verification key of the log, or a file of them")
    parser.add_argument("--policy", help="a tlog-policy file: the witnesses that you trust")
    parser.add_argument("--kept", action="append", default=[], help="a checkpoint that you kept from before")
    parser.add_argument("--json", action="store_true", help="print the verdict as JSON")
    arguments = parser.parse_args(argv)
    document: dict[str, Any] = {"verdict": "unknown", "findings": [], "passed": [], "notes": [], "facts": {}}
    try:
        document = examine(arguments)
    except Defect as defect:
        document.update(verdict="failed", findings=[str(defect)])
    except (Unable, OSError, MemoryError) as error:
        document.update(verdict="unknown", findings=[str(error) or type(error).__name__])
    code = {"verified": 0, "failed": 1, "unknown": 2}[document["verdict"]]
    print(json.dumps(dict(document, exit=code), indent=1) if arguments.json else told(document))
    return code


def told(document: dict[str, Any]) -> str:
    """The verdict for a person; what came from the bundle is escaped, so that it cannot steer the terminal."""
    words = {"verified": "VERIFIED", "failed": "NOT WHAT WAS SIGNED", "unknown": "COULD NOT VERIFY"}
    lines = [words[document["verdict"]]]
    lines += ["  passed  %s" % text for text in document["passed"]]
    lines += [
        "  defect  %s" % text if document["verdict"] == "failed" else "  %s" % text for text in document["findings"]
    ]
    lines += ["  note    %s" % text for text in document["notes"]]
    return "\n".join(line.encode("ascii", "backslashreplace").decode() for line in lines)


if __name__ == "__main__":
    sys.exit(main())
