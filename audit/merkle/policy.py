"""Which logs and witnesses are trusted, and how many witnesses suffice: C2SP tlog-policy.

    log <vkey> [<url>]
    witness <name> <vkey> [<url>]
    group <name> <k|all|any> <member>...
    quorum <name|none>

A checkpoint is valid when any one of the logs signed it and the quorum of witnesses cosigned it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from audit.merkle.checkpoint import LOG_ALGORITHMS, WITNESS_ALGORITHMS, NoteInvalid, Vkey

NONE = "none"
_MAX_LINES = 4096
_NUMBER = re.compile(r"[1-9][0-9]{0,8}\Z", re.ASCII)


class PolicyInvalid(ValueError):  # noqa: N818
    """The policy is malformed. ``line`` is the number of the line, counted from 1."""

    def __init__(self, line: int, sentence: str) -> None:
        super().__init__(f"line {line}: {sentence}")
        self.line = line


@dataclass(frozen=True, slots=True)
class Listed:
    """A log or a witness: its key and, where it can be reached, its address (for a witness the submission prefix)."""

    vkey: Vkey
    url: str = ""


@dataclass(frozen=True, slots=True)
class Group:
    """Counts as one witness when at least ``threshold`` of its members do."""

    threshold: int
    members: tuple[str, ...]


@dataclass(frozen=True)
class Policy:
    """``witnesses`` and ``groups`` by the name that the policy gives them; a group names only earlier ones."""

    logs: tuple[Listed, ...] = ()
    witnesses: Mapping[str, Listed] = field(default_factory=dict)
    groups: Mapping[str, Group] = field(default_factory=dict)
    quorum: str = NONE

    @classmethod
    def parse(cls, text: str) -> Policy:
        """Raises ``PolicyInvalid`` with the number of the first line that is wrong."""
        return _Reader().read(text)

    @property
    def log_keys(self) -> tuple[Vkey, ...]:
        """The keys of the logs, in the order of the policy."""
        return tuple(log.vkey for log in self.logs)

    @property
    def witness_keys(self) -> tuple[Vkey, ...]:
        """The keys of the witnesses, in the order of the policy."""
        return tuple(witness.vkey for witness in self.witnesses.values())

    def names(self, vkeys: Iterable[Vkey]) -> frozenset[str]:
        """The policy's names for these witnesses' keys; keys that it does not list have none."""
        wanted = set(vkeys)
        return frozenset(name for name, witness in self.witnesses.items() if witness.vkey in wanted)

    def satisfied(self, names: Iterable[str]) -> bool:
        """Whether these witnesses (by the policy's names) are a quorum. Names that are no witnesses do not count."""
        if self.quorum == NONE:
            return True
        counted = {name for name in names if name in self.witnesses}
        for name, group in self.groups.items():
            if sum(member in counted for member in group.members) >= group.threshold:
                counted.add(name)
        return self.quorum in counted

    def __str__(self) -> str:
        """The policy as text: logs, witnesses, groups, quorum. Comments of a parsed file are not kept."""
        lines = [f"log {log.vkey} {log.url}".rstrip() for log in self.logs]
        lines += [f"witness {name} {one.vkey} {one.url}".rstrip() for name, one in self.witnesses.items()]
        lines += [f"group {name} {one.threshold} {' '.join(one.members)}" for name, one in self.groups.items()]
        return "\n".join([*lines, f"quorum {self.quorum}"]) + "\n"


class _Reader:
    """What the lines read so far define."""

    def __init__(self) -> None:
        self.number = 1
        self.logs: list[Listed] = []
        self.witnesses: dict[str, Listed] = {}
        self.groups: dict[str, Group] = {}
        self.members: set[str] = set()
        self.quorum = ""

    def read(self, text: str) -> Policy:
        lines = text.split("\n")
        if len(lines) > _MAX_LINES:
            raise PolicyInvalid(_MAX_LINES, f"the policy has more than {_MAX_LINES} lines")
        for self.number, line in enumerate(lines, start=1):
            if any((letter < " " and letter != "\t") or letter == "\x7f" for letter in line):
                raise self.wrong("a control character; only tab and line feed are allowed")
            items = re.split("[ \t]+", line.strip(" \t"))
            if items[0] and not items[0].startswith("#"):
                self.line(items)
        if lines[-1]:
            # A file cut off in the middle of its last line could name a weaker quorum.
            raise self.wrong("the last line does not end with a line feed")
        if not self.quorum:
            raise self.wrong("the policy has no quorum line; write «quorum none» to ask for no witness")
        return Policy(tuple(self.logs), self.witnesses, self.groups, self.quorum)

    def line(self, items: list[str]) -> None:
        kind, values = items[0], items[1:]
        if kind == "log" and len(values) in (1, 2):
            self.log(*values)
        elif kind == "witness" and len(values) in (2, 3):
            self.witness(*values)
        elif kind == "group" and len(values) >= 3:
            self.group(values[0], values[1], values[2:])
        elif kind == "quorum" and len(values) == 1:
            self.choose(values[0])
        elif kind in ("log", "witness", "group", "quorum"):
            raise self.wrong(f"«{kind}» has too few or too many items")
        else:
            raise self.wrong(f"«{kind}» is not one of log, witness, group, quorum")

    def log(self, key: str, url: str = "") -> None:
        vkey = self.vkey(key, LOG_ALGORITHMS, "a log")
        if any(vkey.public_key == log.vkey.public_key for log in self.logs):
            raise self.wrong("this public key is listed as a log already")
        self.logs.append(Listed(vkey, url))

    def witness(self, name: str, key: str, url: str = "") -> None:
        self.refuse_taken(name)
        vkey = self.vkey(key, WITNESS_ALGORITHMS, "a witness")
        if any(vkey.public_key == witness.vkey.public_key for witness in self.witnesses.values()):
            raise self.wrong("this public key is listed as a witness already")
        self.witnesses[name] = Listed(vkey, url)

    def group(self, name: str, threshold: str, members: list[str]) -> None:
        self.refuse_taken(name)
        for member in members:
            self.refuse_unknown(member)
            if member in self.members:
                raise self.wrong(f"«{member}» is a member already; each name can be a member once")
            self.members.add(member)
        if threshold not in ("all", "any") and not _NUMBER.match(threshold):
            raise self.wrong(f"«{threshold}» is not a number, «all» or «any»")
        needed = {"all": len(members), "any": 1}.get(threshold) or int(threshold)
        if needed > len(members):
            raise self.wrong(f"the group asks for {needed} of {len(members)} members")
        self.groups[name] = Group(needed, tuple(members))

    def choose(self, name: str) -> None:
        if self.quorum:
            raise self.wrong("a second quorum line")
        if name != NONE:
            self.refuse_unknown(name)
        self.quorum = name

    def refuse_taken(self, name: str) -> None:
        if name == NONE or name in self.witnesses or name in self.groups:
            raise self.wrong(f"the name «{name}» is taken")

    def refuse_unknown(self, name: str) -> None:
        if name not in self.witnesses and name not in self.groups:
            raise self.wrong(f"«{name}» is not a witness or a group of an earlier line")

    def vkey(self, text: str, algorithms: frozenset[int], what: str) -> Vkey:
        try:
            vkey = Vkey.parse(text)
        except NoteInvalid as error:
            raise self.wrong(str(error)) from error
        if vkey.algorithm not in algorithms:
            raise self.wrong(f"a key of type {vkey.algorithm_name} is not {what}'s")
        return vkey

    def wrong(self, sentence: str) -> PolicyInvalid:
        return PolicyInvalid(self.number, sentence)
