"""A policy pack as it is written: YAML to immutable values, every mistake with its line and column."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from datetime import date, timedelta

import yaml

from governance.policies import signing
from governance.policies.parts import Applies, BreakGlass, Pack, Param, Rule, SignOffRule, Slot, Source
from governance.policies.results import Severity
from governance.policies.vocabulary import STRUCTS
from governance.policies.written import Reader, Text

#: Who can be asked to sign or to supply something: the roles of the product.
ROLES = ("ml_lead", "compliance_officer", "dpo", "auditor", "data_scientist", "operator", "administrator")
SEVERITIES = ("block", "warn", "inform")
STATUSES = ("draft", "legal-reviewed")
CONCERNS = ("residency", "hygiene")
#: Tiers and legal perimeters of environments, as the registry knows them (a test compares the two).
TIERS = ("prod", "dr", "staging")
PERIMETERS = ("AE-federal", "AE-ADGM", "AE-DIFC", "SA", "QA", "QA-QFC", "BH", "EU")
#: What a rule may need one of (``needs_any``).
SHOWN_BY = ("evidence", "explanation")
#: What a rule can run over -> the struct whose fields its message may name.
SCOPES = {"flow": "Flow", "version": "Version"}
_SLUG = re.compile(r"[a-z][a-z0-9-]{0,79}")
_RULE_ID = re.compile(r"[A-Za-z][A-Za-z0-9._-]{0,79}")
_JURISDICTION = re.compile(r"[A-Z]{2}(-[A-Za-z]{2,12})?")
_ENVIRONMENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_NAME = re.compile(r"[a-z][a-z0-9_]{0,59}")
_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
_EXPRESSION_LIMIT = 2_000
#: An emergency is short, and so is the time until somebody looks at it.
LONGEST_EMERGENCY = timedelta(hours=72)
LATEST_REVIEW = timedelta(days=7)


def read_pack(text: str) -> Pack:
    """Read a pack. Raises ``PackError`` with every unknown key, wrong type, doubled id and missing part."""
    reader = Reader()
    root = reader.document(text)
    if root is None:
        reader.finish()
    top = reader.mapping(
        root,
        required=("pack", "version", "title", "status", "effective_from"),
        optional=(
            *("jurisdiction", "applies", "enabled", "unverified", "sources", "verified_on", "verified_by"),
            *("params", "rules", "signoff", "cases"),  # cases decide nothing: ``given`` reads them, for lint
        ),
    )
    enabled, unverified = _enabled(reader, top)
    pack = Pack(
        id=_slug(reader, top.get("pack")),
        version=reader.integer(top.get("version"), least=1, most=1_000_000),
        digest="sha256:" + hashlib.sha256(text.encode()).hexdigest(),
        title=reader.text(top.get("title")).value,
        jurisdictions=_jurisdictions(reader, top.get("jurisdiction")),
        status=reader.word(top.get("status"), *STATUSES),
        effective_from=reader.day(top.get("effective_from")) or date.max,
        verified_on=reader.day(top.get("verified_on")),
        verified_by=reader.text(top.get("verified_by")).value,
        sources=tuple(_source(reader, node) for node in reader.items(top.get("sources"))),
        params=_params(reader, top.get("params")),
        rules=tuple(_rule(reader, node) for node in reader.items(top.get("rules"))),
        signoffs=tuple(_signoff(reader, node) for node in reader.items(top.get("signoff"))),
        applies=_applies(reader, top.get("applies")),
        enabled=enabled,
        unverified=unverified,
    )
    reader.rule = ""
    if not pack.rules and not pack.signoffs:
        reader.note(root, "A pack needs at least one rule, or one sign-off rule.")
    if pack.status == "legal-reviewed" and not (pack.verified_by and pack.verified_on):
        reader.note(top["status"], "A legal-reviewed pack says who verified it and when (verified_by, verified_on).")
    _refuse_doubles(reader, top)
    reader.finish()
    return pack


def _enabled(reader: Reader, keys: Mapping[str, yaml.Node]) -> tuple[bool, str]:
    """``enabled`` and ``unverified`` of a pack or a rule: what is switched off says why."""
    enabled = reader.truth(keys["enabled"]) if "enabled" in keys else True
    unverified = reader.text(keys.get("unverified")).value
    if not enabled and "unverified" not in keys:
        reader.note(keys["enabled"], "What is not enabled says what is not verified yet (unverified).")
    return enabled, unverified


def _applies(reader: Reader, node: yaml.Node | None) -> Applies:
    keys = reader.mapping(node, optional=("tiers", "environments", "perimeters")) if node is not None else {}
    for key, value in keys.items():
        if not reader.items(value):
            reader.note(value, f"The list {key} is empty: a pack that applies nowhere decides nothing.")
    if node is not None and not keys:
        reader.note(node, "Say where the pack applies: tiers, environments or perimeters. Leave it out for everywhere.")
    environments = reader.texts(keys.get("environments"))
    for slug in environments:
        if not _ENVIRONMENT.fullmatch(slug):
            reader.note(keys["environments"], f"{slug!r} is no name of an environment: prod-uae is one.")
    return Applies(
        tiers=reader.texts(keys.get("tiers"), *TIERS),
        environments=environments,
        perimeters=reader.texts(keys.get("perimeters"), *PERIMETERS),
    )


def _jurisdictions(reader: Reader, node: yaml.Node | None) -> tuple[str, ...]:
    """One code or a list of them: ``SA``, ``AE-ADGM``. None means that the pack speaks about everybody."""
    if isinstance(node, yaml.SequenceNode):
        found = reader.texts(node)
    else:
        found = (reader.text(node).value,) if node is not None else ()
    for code in found:
        if not _JURISDICTION.fullmatch(code):
            reader.note(node, f"{code!r} is no jurisdiction: SA, AE, AE-ADGM ... is expected here.")
    return found


def _refuse_doubles(reader: Reader, top: dict[str, yaml.Node]) -> None:
    seen: set[str] = set()
    for part in ("rules", "signoff"):
        node = top.get(part)
        for item in node.value if isinstance(node, yaml.SequenceNode) else ():
            for key, value in item.value if isinstance(item, yaml.MappingNode) else ():
                if key.value == "id" and isinstance(value, yaml.ScalarNode):
                    if value.value in seen:
                        reader.note(value, f"The id {value.value!r} is used twice.")
                    seen.add(value.value)


def _rule(reader: Reader, node: yaml.Node) -> Rule:
    reader.rule = _id_of(node)
    keys = reader.mapping(
        node,
        required=("id", "title", "cites", "severity", "message", "remedy", "who"),
        optional=(
            *("concern", "for_each", "when", "require", "unless_any", "unless", "needs_any", "needs", "waivable"),
            *("where", "enabled", "unverified"),
        ),
    )
    enabled, unverified = _enabled(reader, keys)
    scope = reader.word(keys["for_each"], *SCOPES) if "for_each" in keys else "version"
    concern = reader.word(keys.get("concern"), *CONCERNS)
    _refuse_contradictions(reader, node, keys, scope, concern)
    rule = Rule(
        id=_identifier(reader, keys.get("id")),
        title=reader.text(keys.get("title")).value,
        cites=reader.texts(keys.get("cites")),
        severity=_severity(reader, keys.get("severity")),
        concern=concern,
        scope=scope,
        when=_expression(reader, keys.get("when")),
        require=_conditions(reader, keys.get("require")),
        unless=_conditions(reader, keys.get("unless")),
        needs=_conditions(reader, keys.get("needs")),
        asks_for=_asked_for(keys.get("needs_any")),
        message=_message(reader, keys.get("message"), scope),
        remedy=reader.text(keys.get("remedy")).value,
        who=reader.texts(keys.get("who"), *ROLES),
        where=_where(reader, keys.get("where")),
        waivable=reader.truth(keys["waivable"]) if "waivable" in keys else False,
        enabled=enabled,
        unverified=unverified,
        line=node.start_mark.line + 1,
        column=node.start_mark.column + 1,
    )
    reader.rule = ""
    return rule


def _asked_for(node: yaml.Node | None) -> str:
    """What a rule needs one of; that it is a known word is looked at in ``_refuse_contradictions``."""
    return node.value if isinstance(node, yaml.ScalarNode) and node.value in SHOWN_BY else SHOWN_BY[0]


def _refuse_contradictions(
    reader: Reader, node: yaml.Node, keys: Mapping[str, yaml.Node], scope: str, concern: str
) -> None:
    """What each part of a rule allows by itself, and not together."""
    known = {"unless_any": ("unless", ("safeguard",)), "needs_any": ("needs", SHOWN_BY)}
    for quantifier, (part, what) in known.items():
        if (quantifier in keys) != (part in keys):
            reader.note(node, f"{quantifier} and {part} belong together.")
        reader.word(keys.get(quantifier), *what)
    if "require" not in keys and "needs" not in keys:
        reader.note(node, "A rule has to require something (require), or to need evidence (needs).")
    if "unless" in keys and "require" not in keys:
        reader.note(keys["unless"], "unless excuses a requirement, and there is none (require).")
    if "needs" in keys and scope != "version":
        reader.note(keys["needs"], "Evidence is about a version: needs belongs into a rule without for_each: flow.")
    if concern == "residency" and scope != "flow":
        reader.note(keys["concern"], "A residency rule runs over flows (for_each: flow).")
    if "waivable" in keys and reader.truth(keys["waivable"]):
        if concern == "residency":
            sentence = "Nobody can waive the law: a residency rule is not waivable. Record a safeguard."
            reader.note(keys["waivable"], sentence)
        elif scope == "flow":
            sentence = "A rule over flows is not waivable: a waiver would excuse flows that nobody knows of yet."
            reader.note(keys["waivable"], sentence)


def _signoff(reader: Reader, node: yaml.Node) -> SignOffRule:
    reader.rule = _id_of(node)
    keys = reader.mapping(
        node,
        required=("id", "title", "applies_when", "require", "distinct_people", "exclude", "reauth", "valid_for"),
        optional=("min_people", "order", "veto", "delegation", "on_timeout", "break_glass"),
    )
    slots = tuple(_slot(reader, item) for item in reader.items(keys.get("require")))
    people = sum(slot.n for slot in slots)
    if "require" in keys and not slots:
        reader.note(keys["require"], "Somebody must sign: the list is empty.")
    if "distinct_people" in keys and not reader.truth(keys["distinct_people"]):
        reader.note(keys["distinct_people"], "One person fills one slot: only true is allowed.")
    roles = tuple(dict.fromkeys(slot.role for slot in slots))
    reader.word(keys.get("on_timeout"), "expire")
    max_age, factors = signing.reauthentication(reader, keys.get("reauth"))
    rule = SignOffRule(
        id=_identifier(reader, keys.get("id")),
        title=reader.text(keys.get("title")).value,
        applies_when=_expression(reader, keys.get("applies_when")) or Text("", 1, 1),
        require=slots,
        min_people=reader.integer(keys.get("min_people"), least=0, most=people),
        exclude=signing.excluded(reader, keys.get("exclude")),
        reauth_max_age=max_age,
        valid_for=reader.duration(keys.get("valid_for")),
        factors=factors,
        order=signing.order(reader, keys.get("order"), roles),
        veto=signing.veto(reader, keys.get("veto"), roles),
        delegation=signing.delegation(reader, keys.get("delegation"), people),
        break_glass=_break_glass(reader, keys["break_glass"]) if "break_glass" in keys else None,
    )
    reader.rule = ""
    return rule


def _break_glass(reader: Reader, node: yaml.Node) -> BreakGlass:
    """Every part is required: an emergency without an end, a review or a limit is a back door."""
    parts = ("roles", "people", "max_duration", "review_by", "review_within", "cannot_override")
    keys = reader.mapping(node, required=parts)
    reader.integer(keys.get("people"), least=2, most=2)
    lengths = {name: reader.duration(keys.get(name)) for name in ("max_duration", "review_within")}
    for name, most in (("max_duration", LONGEST_EMERGENCY), ("review_within", LATEST_REVIEW)):
        if name in keys and lengths[name] > most:
            reader.note(keys[name], f"At most {most // timedelta(hours=1)} hours are allowed for {name}.")
    named = {name: reader.texts(keys.get(name), *ROLES) for name in ("roles", "review_by")}
    for name, found in named.items():
        if name in keys and not found:
            reader.note(keys[name], f"The list {name} is empty: somebody must be able to do it.")
    held = reader.texts(keys.get("cannot_override"))
    for each in held:
        if not _RULE_ID.fullmatch(each):
            reader.note(keys["cannot_override"], f"{each!r} is no id of a rule, no name of a pack and not residency.")
    if "cannot_override" in keys and "residency" not in held:
        reader.note(keys["cannot_override"], "No emergency is above the law: cannot_override must name residency.")
    return BreakGlass(roles=named["roles"], review_by=named["review_by"], cannot_override=held, **lengths)


def _slot(reader: Reader, node: yaml.Node) -> Slot:
    keys = reader.mapping(node, required=("role", "n"), optional=("when",))
    return Slot(
        role=reader.word(keys.get("role"), *ROLES),
        n=reader.integer(keys.get("n"), least=1, most=20),
        when=_expression(reader, keys.get("when")),
    )


def _source(reader: Reader, node: yaml.Node) -> Source:
    keys = reader.mapping(node, required=("title", "url"))
    url = reader.text(keys.get("url")).value
    if "url" in keys and not url.startswith("https://"):
        reader.note(keys["url"], "An address that begins with https:// is expected here.")
    return Source(title=reader.text(keys.get("title")).value, url=url)


def _params(reader: Reader, node: yaml.Node | None) -> tuple[tuple[str, Param], ...]:
    """Parameters get the type of their value: text, whole number, true/false or list of text."""
    found: list[tuple[str, Param]] = []
    for name, value in reader.pairs(node):
        _check_name(reader, name, value)
        for item in value.value if isinstance(value, yaml.SequenceNode) else [value]:
            if isinstance(item, yaml.ScalarNode):
                reader.refuse_look_alikes(Text(item.value, item.start_mark.line + 1, item.start_mark.column + 1))
        if isinstance(value, yaml.SequenceNode):
            found.append((name, reader.texts(value)))
        elif value.tag.endswith(":int"):
            found.append((name, reader.integer(value, least=0, most=10**12)))
        elif value.tag.endswith(":bool"):
            found.append((name, reader.truth(value)))
        else:
            found.append((name, reader.text(value).value))
    return tuple(found)


def _conditions(reader: Reader, node: yaml.Node | None) -> tuple[tuple[str, Text], ...]:
    found: list[tuple[str, Text]] = []
    for name, value in reader.pairs(node):
        _check_name(reader, name, value)
        found.append((name, _expression(reader, value) or Text("", 1, 1)))
    if node is not None and not found:
        reader.note(node, "At least one named condition is expected here.")
    return tuple(found)


def _expression(reader: Reader, node: yaml.Node | None) -> Text | None:
    if node is None:
        return None
    found = reader.text(node)
    if len(found.value) > _EXPRESSION_LIMIT:
        reader.note(node, f"An expression may have {_EXPRESSION_LIMIT} characters.")
    reader.refuse_look_alikes(found)
    return found


def _message(reader: Reader, node: yaml.Node | None, scope: str) -> str:
    text = reader.text(node).value
    fields = [word.name for word in STRUCTS[SCOPES.get(scope, "Version")]]
    for name in _PLACEHOLDER.findall(text):
        if name not in fields:
            reader.note(node, f"The message names {{{name}}}; known are {', '.join(fields)}.")
    return text


def _severity(reader: Reader, node: yaml.Node | None) -> Severity:
    found = reader.word(node, *SEVERITIES)
    return "warn" if found == "warn" else "inform" if found == "inform" else "block"


def _where(reader: Reader, node: yaml.Node | None) -> str:
    found = reader.text(node).value
    if node is not None and not re.fullmatch(r"/[A-Za-z0-9/_.?=&-]*", found):
        reader.note(node, "A path of this site is expected here, for example /transfers.")
    return found


def _check_name(reader: Reader, name: str, node: yaml.Node) -> None:
    if not _NAME.fullmatch(name):
        reader.note(node, f"The name {name!r} must be small letters, digits and underscores.")


def _slug(reader: Reader, node: yaml.Node | None) -> str:
    found = reader.text(node).value
    if node is not None and not _SLUG.fullmatch(found):
        reader.note(node, "A pack's name is small letters, digits and hyphens.")
    return found


def _identifier(reader: Reader, node: yaml.Node | None) -> str:
    found = reader.text(node).value
    if node is not None and not _RULE_ID.fullmatch(found):
        reader.note(node, "An id is letters, digits, dots, hyphens and underscores.")
    return found


def _id_of(node: yaml.Node) -> str:
    """The id before anything is checked, to say which rule a mistake is in."""
    for key, value in node.value if isinstance(node, yaml.MappingNode) else ():
        if key.value == "id" and isinstance(value, yaml.ScalarNode):
            return str(value.value)
    return ""
