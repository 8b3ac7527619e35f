"""Signatures over the tree: keys, checkpoints, the signer's memory, heads kept outside, witnesses and timestamps."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from django.conf import settings
from django.utils.translation import gettext as _

from audit import keyring, timestamps
from audit.keyring import Keyring
from audit.merkle import cosignature
from audit.merkle.checkpoint import Head, NoteInvalid, Vkey, parse, verify
from audit.signer import SignerRefusal, SignerUnavailable, Signing
from audit.stored_tree import Fetch
from audit.verification.forest import Forest
from audit.verification.verdict import Step
from audit.witnesses import queries as witnesses
from audit.witnesses.configuration import PolicyUnusable

_CHECKPOINTS = "SELECT size, root, note FROM audit.checkpoint WHERE log_id = %s ORDER BY size"
_COSIGNATURES = """
    SELECT s.size, s.key_name, s.key_id, s.line, c.note FROM audit.cosignature s
    LEFT JOIN audit.checkpoint c USING (log_id, size) WHERE s.log_id = %s ORDER BY s.size, s.key_name
"""
_ANCHORS = """
    SELECT a.size, a.kind, a.token, c.note FROM audit.anchor a LEFT JOIN audit.checkpoint c USING (log_id, size)
    WHERE a.log_id = %s ORDER BY a.size
"""


@dataclass(frozen=True)
class Outside:
    """What the signer remembers; ``head`` None: it could not be asked, and ``problem`` says why."""

    head: Head | None
    vkeys: tuple[Vkey, ...] = ()
    problem: str = ""


def ask(signer: Signing | None) -> Outside:
    """The head that the signer signed last."""
    if signer is None:
        return Outside(None, problem=_("no signer is configured"))
    try:
        head, _note = signer.head()
        return Outside(head, tuple(signer.vkeys))
    except (SignerUnavailable, SignerRefusal) as error:
        return Outside(None, problem=str(error))


def keys_step(fetch: Fetch, number: int, ring: Keyring, outside: Outside, known: Sequence[Vkey]) -> Step:
    """The announced keys against the entries that announce them, the signer's own and those known from outside."""
    step = Step("keys", _("%(n)d signing keys are announced") % {"n": len(ring.keys)})
    for problem in keyring.problems(fetch, number):
        step.find(problem)
    if not ring.keys:
        step.find(_("the log has announced no signing key"))
    for source, theirs in ((_("the signer"), outside.vkeys), (_("the keys given"), known)):
        if any(vkey not in ring for vkey in theirs):
            step.find(_("the announced keys are not those of %s") % source)
    return step


@dataclass
class Notes:
    """Every signed head of the log with its verified signatures, to be compared with the computed tree."""

    ring: Keyring
    heads: list[Head] = field(default_factory=list)
    kept: list[Head] = field(default_factory=list)
    findings: list[str] = field(default_factory=list)
    kept_findings: list[str] = field(default_factory=list)
    stored: int = 0

    def sizes(self) -> Iterator[int]:
        """Every size whose root somebody signed."""
        yield from (head.size for head in (*self.heads, *self.kept))


def read_notes(fetch: Fetch, number: int, ring: Keyring, kept: Iterable[str]) -> Notes:
    """Verify the signatures on every stored checkpoint and on those kept outside, by the keys valid at each size."""
    notes = Notes(ring)
    for size, root, note in fetch(_CHECKPOINTS, [number]):
        notes.stored += 1
        name = _("checkpoint %(size)d") % {"size": size}
        try:
            head = verify(note, ring.valid_at(size))
        except NoteInvalid as error:
            notes.findings.append(f"{name}: {error}")
            continue
        if (head.size, head.root) != (size, bytes(root)):
            notes.findings.append(_("%(name)s: the note signs something else than the row says") % {"name": name})
        notes.heads.append(head)
    for note in kept:
        try:
            notes.kept.append(_kept(note, ring))
        except NoteInvalid as error:
            notes.kept_findings.append(_("the checkpoint kept outside is not signed by the log: %s") % error)
    return notes


def _kept(note: str, ring: Keyring) -> Head:
    head = parse(note).head
    return verify(note, ring.valid_at(head.size))


def checkpoints_step(notes: Notes, forest: Forest) -> Step:
    """The root of every checkpoint against the computed tree."""
    detail = _("%(n)s checkpoints: every signature and the root of each") % {"n": f"{notes.stored:,}"}
    step = Step("checkpoints", detail)
    for finding in notes.findings:
        step.find(finding)
    for head in notes.heads:
        _compare(step, _("checkpoint %(size)d") % {"size": head.size}, head, forest)
    if forest.size and not notes.stored:
        step.unknown = True
        step.detail = _("the log has no signed checkpoint yet")
    return step


def signer_step(outside: Outside, forest: Forest) -> Step:
    """The signer's own memory against the computed tree."""
    step = Step("signer", outside.problem)
    if outside.head is None:
        step.unknown = True
        return step
    step.detail = _("the signer's own memory ends at %(n)s entries") % {"n": f"{outside.head.size:,}"}
    _compare(step, _("the signer's head"), outside.head, forest)
    return step


def kept_step(notes: Notes, forest: Forest) -> Step:
    """Heads kept outside against the computed tree."""
    step = Step("outside", _("%(n)d checkpoints kept outside") % {"n": len(notes.kept)})
    for finding in notes.kept_findings:
        step.find(finding)
    for head in notes.kept:
        _compare(step, _("the checkpoint kept outside"), head, forest)
    return step


def _compare(step: Step, name: str, head: Head, forest: Forest) -> None:
    values = {"name": name, "size": head.size, "leaves": forest.size}
    if head.size > forest.size:
        step.find(_("%(name)s covers %(size)d entries, the log has only %(leaves)d") % values)
    elif head.size in forest.roots:
        if forest.roots[head.size] != head.root:
            step.find(_("%(name)s has another root than the first %(size)d entries") % values)
    elif head.size > forest.start:  # the roots before the start of a resumed run were compared by the earlier one
        step.find(_("%(name)s has a root that was not computed") % values)


def witnesses_step(fetch: Fetch, number: int) -> Step | None:
    """Every stored cosignature by a witness of the policy; None when there is none and no policy.

    Cosignatures by keys that the policy does not name say nothing, and are counted.
    """
    step = Step("witnesses", "")
    rows = fetch(_COSIGNATURES, [number])
    try:
        policy = witnesses.policy()
    except PolicyUnusable as error:
        step.unknown, step.detail = True, str(error)
        return step
    if policy is None and not rows:
        return None
    known = policy.witness_keys if policy else ()
    names = {(vkey.name, vkey.key_id) for vkey in known}
    verified = foreign = 0
    for size, name, key_id, line, note in rows:
        if (name, bytes(key_id)) not in names:
            foreign += 1
            continue
        try:
            cosignature.line_of(line, parse(note or "").head, known)
            verified += 1
        except NoteInvalid as error:
            what = _("the cosignature of %(name)s on checkpoint %(size)d") % {"name": name, "size": size}
            step.find(f"{what}: {error}")
    step.detail = _("%(n)s cosignatures of %(witnesses)d witnesses") % {"n": f"{verified:,}", "witnesses": len(known)}
    if foreign:
        step.detail += " · " + _("%(n)d are by keys that the policy does not name") % {"n": foreign}
    return step


def timestamps_step(fetch: Fetch, number: int) -> Step | None:
    """Every stored timestamp of a checkpoint; None when there is none and none is configured."""
    rows = fetch(_ANCHORS, [number])
    configured = bool(getattr(settings, "TIMESTAMP_URL", ""))
    if not rows and not configured:
        return None
    step = Step("timestamps", _("%(n)d timestamps of checkpoints") % {"n": len(rows)})
    roots = _roots()
    if roots is None:
        step.unknown = True
        step.detail = _("TIMESTAMP_ROOTS names no readable file: %(n)d timestamps were not verified") % {"n": len(rows)}
        return step
    for size, kind, token, note in rows:
        what = _("the timestamp of checkpoint %(size)d") % {"size": size}
        try:
            if kind != "rfc3161":
                raise timestamps.TimestampUnverified(_("the kind %s is not known here") % kind)
            timestamps.verify(note or "", bytes(token), roots)
        except timestamps.TimestampInvalid as error:
            step.find(f"{what}: {error}")
        except timestamps.TimestampUnverified as error:
            step.unknown = True
            step.detail = f"{what}: {error}"
    return step


def _roots() -> bytes | None:
    path = str(getattr(settings, "TIMESTAMP_ROOTS", "") or "")
    try:
        return Path(path).read_bytes() if path else None
    except OSError:
        return None
