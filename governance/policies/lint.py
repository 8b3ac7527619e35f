"""What a pack must pass before it is drafted or comes into force, beyond that it compiles.

Not part of ``compile_pack``: a decision that was made with a pack is made again with it, whatever lint has learned.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache, lru_cache

from governance.policies.absence import absences
from governance.policies.cases import broken_cases
from governance.policies.compile import CompiledPack, compile_pack
from governance.policies.packs import shipped_packs
from governance.policies.written import PackError, Problem


def lint_pack(text: str) -> CompiledPack:
    """The compiled pack. Raises ``PackError`` with every mistake: what does not compile; a residency rule that allows
    by absence; one that a safeguard of any law excuses; a rule in force that nobody has verified; and a case of the
    pack's own that does not hold.
    """
    pack = compile_pack(text)
    if problems := _problems(text):
        raise PackError(problems)
    return pack


@lru_cache(maxsize=256)
def _problems(text: str) -> tuple[Problem, ...]:
    """What the lint finds, once for each text: a law with thirty jurisdictions takes a second."""
    pack = compile_pack(text)
    found = (*absences(pack), *_of_any_law(pack), *_unverified(pack), *broken_cases(pack))
    return tuple(sorted(found, key=lambda problem: (problem.line, problem.column)))


def may_be_activated(pack: CompiledPack) -> bool:
    """False for a pack that is switched off as a whole (``enabled: false``): it is there to be read."""
    return pack.pack.enabled


@cache
def unverified_ids() -> frozenset[str]:
    """Ids of the shipped rules that nobody has verified. Deleting the word from a copy of the text verifies nothing."""
    packs = [compile_pack(text).pack for text in shipped_packs().values()]
    return frozenset(rule.id for pack in packs for rule in pack.rules if rule.unverified or pack.unverified)


def _of_any_law(pack: CompiledPack) -> Iterator[Problem]:
    """Residency rules that never ask under which law a safeguard was made: another law's clauses would excuse."""
    for compiled in pack.rules:
        rule = compiled.rule
        if rule.concern != "residency" or rule.severity != "block" or compiled.unless is None:
            continue
        if not any(read is None or "law" in read for _, read in compiled.unless.reads):
            text = rule.unless[0][1]
            message = (
                "A safeguard that was made under another law would excuse this. Ask for the law as well, for example"
                " made_under: \"safeguard.law == 'SA'\"."
            )
            yield Problem(text.line, text.column, rule.id, message)


def _unverified(pack: CompiledPack) -> Iterator[Problem]:
    """Rules in force that say, or shipped saying, that nobody verified them, in a pack without a name and a date."""
    if pack.pack.verified_by and pack.pack.verified_on:
        return
    for compiled in pack.rules:
        rule = compiled.rule
        why = rule.unverified or pack.pack.unverified
        if why or rule.id in unverified_ids():
            message = (
                f"Nobody has verified this rule{f' ({why})' if why else ''}: verified_by names the person who read the"
                " law and verified_on the day, or the rule stays enabled: false."
            )
            yield Problem(rule.line, rule.column, rule.id, message)
