"""The second part of ``verify.py``: the reader's witnesses, and what a bundle tells about its entries."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from typing import Any

from audit.exports.verifier.formats import DIGEST, Bundle, Defect, Key, Note, Unable, parse_key


# ── cut here ──
# ── the witnesses' policy (C2SP tlog-policy) ─────────────────────────────────────────────────────────────────────────
class Policy:
    """Who must have seen a checkpoint. Raises ``Unable`` for a file that is not a policy."""

    def __init__(self, text: str) -> None:
        self.keys: dict[str, Key] = {}
        self.groups: list[tuple[str, int, list[str]]] = []
        self.quorum = ""
        for number, line in enumerate(text.splitlines(), 1):
            words = line.split()
            try:
                if words and not words[0].startswith("#"):
                    self._line(words)
            except (ValueError, IndexError):
                raise Unable("the policy's line %d cannot be understood" % number)
        if not self.quorum:
            raise Unable("the policy names no quorum")

    def _line(self, words: list[str]) -> None:
        if words[0] == "witness" and len(words) in (3, 4):
            self.keys[words[1]] = parse_key(words[2])
        elif words[0] == "group" and len(words) > 3:
            members = words[3:]
            known = set(self.keys) | {name for name, _needed, _members in self.groups}
            needed = {"all": len(members), "any": 1}.get(words[2]) or int(words[2])
            if not set(members) <= known or len(set(members)) != len(members) or not 0 < needed <= len(members):
                raise ValueError
            self.groups.append((words[1], needed, members))
        elif words[0] == "quorum" and len(words) == 2 and not self.quorum:
            self.quorum = words[1]
        elif words[0] != "log":
            raise ValueError

    def witnesses(self, note: Note) -> list[str] | None:
        """The witnesses that cosigned; None when they are not the quorum."""
        signed = sorted(name for name, key in self.keys.items() if key.kind == 4 and note.signed_by(key))
        counted = set(signed)
        for name, needed, members in self.groups:
            if sum(member in counted for member in members) >= needed:
                counted.add(name)
        return signed if self.quorum == "none" or self.quorum in counted else None


class Told:
    """What the bundle tells about its entries: the readable list, disclosed and erased values, documents."""

    def __init__(self, bundle: Bundle) -> None:
        self.bundle, self.disclosed, self.erased, self.documents = bundle, 0, 0, 0
        self.notes: list[str] = []
        self._lines = bundle.lines("entries.jsonl")
        self._values = self._records("disclosures.jsonl")
        self._gone = self._records("erased.jsonl")
        self._value, self._missing = next(self._values, None), next(self._gone, None)
        self._erasing = {(r["erased_index"], r["erased_by"]) for r in self._records("erased.jsonl")}
        self._digests: set[bytes] = set()
        for name in bundle.members:
            found = re.match(r"documents/.*sha256-([0-9a-f]{64})[^/]*\Z", name)
            if found:
                self.documents += 1
                self._digests.add(found.group(1).encode())
                if found.group(1) != bundle.members[name].sha256:
                    bundle.report("%s: its content does not have the digest in its name" % name)

    def _records(self, name: str) -> Iterator[dict[str, Any]]:
        for line in self.bundle.lines(name):
            yield json.loads(line)

    def about(self, index: int, entry: bytes) -> None:
        """Compare everything that is told about one entry with its bytes."""
        line = b'{"index":%d,"entry":%s}' % (index, entry.replace(b"\n", b" ").replace(b"\r", b" "))
        if next(self._lines, None) != line:
            raise Defect("entries.jsonl tells something else than entry %d" % index)
        if self._digests:
            self._digests.difference_update(DIGEST.findall(entry))
        parsed: dict[str, Any] | None = None
        while self._value is not None and self._value["index"] == index:
            parsed = parsed or json.loads(entry)
            self._disclosure(index, parsed, self._value)
            self._value = next(self._values, None)
        while self._missing is not None and self._missing["index"] == index:
            parsed = parsed or json.loads(entry)
            if self._missing["event_id"] != parsed["id"] or self._missing["field"] not in parsed["commit"]:
                self.bundle.report("entry %d never held the value that erased.jsonl names" % index)
            self.erased += 1
            self._note_erasure(index, self._missing)
            self._missing = next(self._gone, None)
        if self._erasing:
            self._erasing.discard((index, json.loads(entry)["id"]))

    def _disclosure(self, index: int, entry: dict[str, Any], value: dict[str, Any]) -> None:
        digest = hashlib.sha256(bytes.fromhex(value["salt"]) + value["value"].encode()).hexdigest()
        if value["event_id"] != entry["id"] or entry["commit"].get(value["field"]) != digest:
            self.bundle.report(
                "the disclosed %a of entry %d is not what the entry committed to" % (value["field"], index)
            )
        self.disclosed += 1

    def _note_erasure(self, index: int, record: dict[str, Any]) -> None:
        if self.erased <= 20:
            self.notes.append(
                "entry %d, %s: committed, erased by entry %s"
                % (index, ascii(record["field"])[1:-1], record["erased_index"])
            )

    def finish(self) -> None:
        """What was told about entries that are not there."""
        if next(self._lines, None) is not None:
            self.bundle.report("entries.jsonl tells of more entries than the bundle holds: an entry was dropped")
        if self._value is not None:
            self.bundle.report("disclosures.jsonl discloses a value of an entry that is not here")
        if self._missing is not None or self._erasing:
            self.bundle.report("erased.jsonl names an entry that is not here")
        if self._digests:
            self.notes.append(
                "%d documents are vouched for by the manifest alone: no entry of this bundle holds their digest"
                % len(self._digests)
            )
