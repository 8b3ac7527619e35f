"""What a sign-off rule may say about how people sign: who may not, in which order, who may refuse, who may stand in.

Everything that a rule leaves out keeps the meaning that it has always had: any order, any role may refuse, nobody signs
for somebody else, one proof of identity.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import yaml

from governance.policies.parts import Delegation
from governance.policies.written import Reader

#: Whom every rule keeps from signing, or may.
EXCLUDABLE = ("requester", "contributors")
#: Trying every order and every choice of delegates takes longer with each; no rule in use asks for more.
MOST_ORDERED = 4
MOST_DELEGATED = 6


def excluded(reader: Reader, node: yaml.Node | None) -> tuple[str, ...]:
    """Who may not sign; ``requester`` always. What is asked of facts that nobody records is refused by name."""
    found: list[str] = []
    for item in reader.items(node):
        if isinstance(item, yaml.ScalarNode) and item.value == "direct_reports_of_requester":
            reader.note(
                item,
                "Nobody records who reports to whom, so direct_reports_of_requester would exclude nobody: leave it out,"
                " and ask for a role that the requester's own people do not hold.",
            )
            continue
        value = reader.word(item, *EXCLUDABLE)
        if value in found:
            reader.note(item, f"{value!r} is in this list twice.")
        found.append(value)
    if node is not None and "requester" not in found:
        reader.note(node, "The requester may never sign: exclude must name requester.")
    return tuple(found)


def reauthentication(reader: Reader, node: yaml.Node | None) -> tuple[timedelta, int]:
    """How old the proof of identity of a signature may be, and of how many factors it is."""
    keys = reader.mapping(node, required=("max_age_s",), optional=("factors",)) if node is not None else {}
    age = timedelta(seconds=reader.integer(keys.get("max_age_s"), least=1, most=3_600))
    return age, reader.integer(keys.get("factors"), least=1, most=2)


def order(reader: Reader, node: yaml.Node | None, roles: Sequence[str]) -> tuple[str, ...]:
    """``any``, or the roles that sign one after the other; a role that is left out signs at any time."""
    if node is None or _is_word(node):
        reader.word(node, "any")
        return ()
    found = _known(reader, node, roles)
    if len(found) < 2:
        reader.note(node, "An order needs two roles at least; for none, write any.")
    if len(found) > MOST_ORDERED:
        reader.note(node, f"An order may have {MOST_ORDERED} roles; this one has {len(found)}.")
    return found


def veto(reader: Reader, node: yaml.Node | None, roles: Sequence[str]) -> tuple[str, ...] | None:
    """None for ``any``: whoever may sign may refuse. Empty for ``none``. Otherwise the roles whose refusal blocks."""
    if node is None or _is_word(node):
        return () if reader.word(node, "any", "none") == "none" else None
    found = _known(reader, node, roles)
    if not found:
        reader.note(node, "The list is empty: name the roles that may refuse, or write any or none.")
    return found


def delegation(reader: Reader, node: yaml.Node | None, people: int) -> Delegation | None:
    """Whether, and for how long at most, a person may let another sign in their place. ``depth`` can only be 1."""
    if node is None:
        return None
    keys = reader.mapping(node, required=("allowed",), optional=("max", "depth", "not_to"))
    if not reader.truth(keys.get("allowed")):
        for name in ("max", "depth", "not_to"):
            if name in keys:
                reader.note(keys[name], f"Nobody may delegate here, so {name} says nothing: leave it out.")
        return None
    if "max" not in keys:
        reader.note(node, "Say how long a delegation may last (max: P30D).")
    reader.integer(keys.get("depth"), least=1, most=1)
    if "not_to" in keys and set(reader.texts(keys["not_to"], *EXCLUDABLE)) != set(EXCLUDABLE):
        reader.note(keys["not_to"], "Whoever asked for it or made it never signs for another: not_to names both.")
    if people > MOST_DELEGATED:
        sentence = f"A rule that lets people delegate may ask for {MOST_DELEGATED} people; this one asks for {people}."
        reader.note(node, sentence)
    return Delegation(longest=reader.duration(keys.get("max")))


def _known(reader: Reader, node: yaml.Node, roles: Sequence[str]) -> tuple[str, ...]:
    """Roles that the rule asks for; any other would wait for nobody."""
    found = reader.texts(node)
    for role in found:
        if role not in roles:
            reader.note(node, f"{role!r} is not asked for by this rule; it asks for {', '.join(roles) or 'nobody'}.")
    return found


def _is_word(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode)
