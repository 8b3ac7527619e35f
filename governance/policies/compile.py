"""From a pack's text to compiled rules: every expression is typed, so its mistakes show at upload with their place.

Engine: ``cel-expr-python`` (Google's C++ CEL). Two of its habits are dangerous in a gate and are fenced here, in one
function (``answer``): an evaluation error is returned as a value whose ``.value()`` is a non-empty string, and
an exhausted budget raises. Only the type BOOL with the value True is a yes, only BOOL with False is a no.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from importlib import metadata
from typing import Any

from cel_expr_python import cel
from cel_expr_python.ext import ext_strings
from google.protobuf import descriptor_pb2, message_factory

from governance.policies.facts import Facts
from governance.policies.parts import Pack, Param, Rule, SignOffRule, Source
from governance.policies.results import PackRef
from governance.policies.schema import SHOWN_BY, read_pack
from governance.policies.vocabulary import PACKAGE, VARIABLES, Kind, Word, add_struct, facts_file, new_pool
from governance.policies.written import PackError, Problem, Text

ENGINE: Mapping[str, str] = {"name": "cel-expr-python", "version": metadata.version("cel-expr-python")}
_PLACE = re.compile(r"<input>:(\d+):(\d+): ([^\n]*)")
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
#: What each kind of expression may speak about.
_SIGNOFF_SCOPE = frozenset({"model", "version", "environment", "promotion", "data", "now", "params"})
_VERSION_SCOPE = _SIGNOFF_SCOPE
_FLOW_SCOPE = _VERSION_SCOPE | {"flow"}


@dataclass(frozen=True, slots=True)
class Verdict:
    """Names of the conditions that are false, and of those that gave neither true nor false with the reason."""

    failed: tuple[str, ...]
    errors: tuple[tuple[str, str], ...]

    @property
    def holds(self) -> bool:
        """True when every condition said true."""
        return not self.failed and not self.errors


#: Every condition said true.
HOLDS = Verdict((), ())
#: Fields of ``flow`` and of the paper (safeguard, evidence, explanation) that an expression can see; None: maybe all.
Reads = tuple[tuple[str, ...] | None, tuple[str, ...] | None]


def answer(expression: Any, activation: Any) -> bool | str:
    """True, False, or why it is neither. The one place where a value of the engine becomes a yes."""
    try:
        found = expression.eval(activation)
        kind, value = found.type(), found.value()
    except (RuntimeError, ValueError, TypeError) as error:
        return str(error)
    if kind == cel.Type.BOOL and value is True:
        return True
    if kind == cel.Type.BOOL and value is False:
        return False
    return str(value) if kind == cel.Type.ERROR else f"{kind.name()} is no answer"


@dataclass(frozen=True, slots=True)
class Conditions:
    """Named, compiled expressions over the same variables. ``needs`` are the variables that they mention, ``reads``
    what each can see of a flow and of a ``paper``. ``known`` holds for each that reads nothing else the answers of
    earlier decisions, by the values that it read; None for one that reads the clock or anything else.
    """

    named: tuple[tuple[str, Any], ...]
    needs: frozenset[str]
    activation: Callable[[dict[str, Any]], Any]
    reads: tuple[Reads, ...] = ()
    known: tuple[dict[Any, bool] | None, ...] = ()
    #: What each expression mentions by itself: an activation costs by what has to be handed over to the engine.
    needs_of: tuple[frozenset[str], ...] = ()
    #: What can make a failure lawful, or is needed: no expression can mention both.
    paper: str = "safeguard"

    def judge(self, values: Mapping[str, Any]) -> Verdict:
        """Each condition by itself, all of them, so that a denial can name every one that does not hold."""
        activation = self.activation({name: values[name] for name in self.needs})
        said = [(name, answer(expression, activation)) for name, expression in self.named]
        return Verdict(
            failed=tuple(name for name, found in said if found is False),
            errors=tuple((name, found) for name, found in said if isinstance(found, str)),
        )


def seen(text: str, variable: str) -> tuple[str, ...] | None:
    """The fields of ``variable`` that an expression names, or None when it mentions the variable without a field.

    Too many are harmless (a word in a string counts as well), too few cannot be: each mention of the variable is either
    followed by a dot and a field, or makes the answer None.
    """
    found = re.findall(rf"\b{variable}\b(?:\s*\.\s*([A-Za-z_][A-Za-z0-9_]*))?", text)
    return None if "" in found else tuple(sorted(set(found)))


@dataclass(frozen=True, slots=True)
class CompiledRule:
    """A rule whose expressions are ready. ``unless`` is None when no safeguard makes a failure lawful, ``needs`` when
    nothing is asked for.
    """

    rule: Rule
    when: Conditions | None
    require: Conditions
    unless: Conditions | None
    needs: Conditions | None = None


@dataclass(frozen=True, slots=True)
class CompiledSignOff:
    """A sign-off rule whose expressions are ready; ``slots`` are role, number and condition."""

    rule: SignOffRule
    applies_when: Conditions
    slots: tuple[tuple[str, int, Conditions | None], ...]


@dataclass(frozen=True, slots=True)
class CompiledPack:
    """A pack ready to decide. ``params`` is the message that its expressions read as ``params``.

    ``rules`` are those that are enabled; ``disabled`` compile as well, and are never evaluated.
    """

    pack: Pack
    text: str
    params: Any
    rules: tuple[CompiledRule, ...]
    signoffs: tuple[CompiledSignOff, ...]
    disabled: tuple[CompiledRule, ...] = ()

    def speaks(self, facts: Facts) -> bool:
        """Whether the pack is in force at the moment of ``facts`` and applies to their environment."""
        in_force = self.pack.effective_from <= facts.now.date()
        return in_force and self.pack.applies.to(facts.document["environment"])

    @property
    def id(self) -> str:
        return self.pack.id

    @property
    def version(self) -> int:
        return self.pack.version

    @property
    def digest(self) -> str:
        return self.pack.digest

    @property
    def title(self) -> str:
        return self.pack.title

    @property
    def status(self) -> str:
        return self.pack.status

    @property
    def effective_from(self) -> date:
        return self.pack.effective_from

    @property
    def sources(self) -> tuple[Source, ...]:
        return self.pack.sources

    @property
    def reference(self) -> PackRef:
        return PackRef(self.pack.id, self.pack.version, self.pack.digest, self.pack.status)


def compile_pack(text: str) -> CompiledPack:
    """Parse and compile, cached by content. Raises ``PackError`` with every problem: rule, line, column, sentence."""
    return _compile(hashlib.sha256(text.encode()).hexdigest(), text)


@lru_cache(maxsize=256)
def _compile(_digest: str, text: str) -> CompiledPack:
    pack = read_pack(text)
    compiler = _Compiler(pack)
    rules = tuple(compiler.rule(rule) for rule in pack.rules)
    signoffs = tuple(compiler.signoff(rule) for rule in pack.signoffs)
    if compiler.problems:
        raise PackError(tuple(sorted(compiler.problems, key=lambda problem: (problem.line, problem.column))))
    return CompiledPack(
        pack=pack,
        text=text,
        params=compiler.params,
        rules=tuple(one for one in rules if one.rule.enabled and pack.enabled),
        signoffs=signoffs if pack.enabled else (),
        disabled=tuple(one for one in rules if not (one.rule.enabled and pack.enabled)),
    )


class _Compiler:
    """One environment for each scope of one pack, so that ``safeguard`` in a ``when`` is refused at upload."""

    def __init__(self, pack: Pack) -> None:
        self.problems: list[Problem] = []
        file = descriptor_pb2.FileDescriptorProto(name="countersign/params.proto", package=PACKAGE, syntax="proto3")
        add_struct(file, "Params", tuple(Word(name, _kind(value)) for name, value in pack.params))
        self._pool = new_pool(facts_file(), file)
        self.params = message_factory.GetMessageClass(self._pool.FindMessageTypeByName(f"{PACKAGE}.Params"))(
            **{name: list(value) if isinstance(value, tuple) else value for name, value in pack.params}
        )
        self._environments: dict[frozenset[str], Any] = {}

    def rule(self, rule: Rule) -> CompiledRule:
        scope = _FLOW_SCOPE if rule.scope == "flow" else _VERSION_SCOPE
        return CompiledRule(
            rule=rule,
            when=self._conditions(rule.id, (("when", rule.when),), scope) if rule.when else None,
            require=self._conditions(rule.id, rule.require, scope),
            unless=self._conditions(rule.id, rule.unless, scope | {"safeguard"}) if rule.unless else None,
            needs=self._conditions(rule.id, rule.needs, scope | {rule.asks_for}) if rule.needs else None,
        )

    def signoff(self, rule: SignOffRule) -> CompiledSignOff:
        def compiled(name: str, text: Text) -> Conditions:
            return self._conditions(rule.id, ((name, text),), _SIGNOFF_SCOPE)

        slots = tuple((slot.role, slot.n, compiled("when", slot.when) if slot.when else None) for slot in rule.require)
        applies = compiled("applies_when", rule.applies_when)
        return CompiledSignOff(rule=rule, applies_when=applies, slots=slots)

    def _conditions(self, rule: str, named: Iterable[tuple[str, Text]], scope: frozenset[str]) -> Conditions:
        environment = self._environment(scope)
        compiled = [(name, text, self._expression(environment, rule, name, text)) for name, text in named]
        words = {word for _, text, _ in compiled for word in _IDENTIFIER.findall(text.value)}
        paper = next((each for each in SHOWN_BY if each in scope), "safeguard")
        return Conditions(
            named=tuple((name, expression) for name, _, expression in compiled),
            needs=frozenset(words & scope),
            activation=environment.Activation,
            reads=tuple((seen(text.value, "flow"), seen(text.value, paper)) for _, text, _ in compiled),
            needs_of=tuple(frozenset(_IDENTIFIER.findall(text.value)) & scope for _, text, _ in compiled),
            known=tuple({} if _reads_values_only(text.value, scope, paper) else None for _, text, _ in compiled),
            paper=paper,
        )

    def _expression(self, environment: Any, rule: str, name: str, text: Text) -> Any:
        """The typed expression, or None after noting why there is none."""
        try:
            expression = environment.compile(text.value)
        except RuntimeError as error:
            self._refuse(rule, text, str(error))
            return None
        if expression.return_type() != cel.Type.BOOL:
            message = f"{name} must be true or false, not {expression.return_type().name()}."
            self.problems.append(Problem(text.line, text.column, rule, message))
        return expression

    def _environment(self, scope: frozenset[str]) -> Any:
        if scope not in self._environments:
            variables = {name: cel.Type(f"{PACKAGE}.{struct}") for name, struct in VARIABLES.items() if name in scope}
            variables |= {"now": cel.Type.TIMESTAMP, "params": cel.Type(f"{PACKAGE}.Params")}
            self._environments[scope] = cel.NewEnv(
                descriptor_pool=self._pool, variables=variables, extensions=[ext_strings.ExtStrings()]
            )
        return self._environments[scope]

    def _refuse(self, rule: str, text: Text, complaint: str) -> None:
        """The compiler's complaints with their place in the file instead of in the expression."""
        found = _PLACE.findall(complaint) or [("1", "1", complaint.splitlines()[0])]
        for line, column, message in found:
            first = int(line) == 1
            self.problems.append(
                Problem(
                    line=text.line + int(line) - 1,
                    column=text.column + int(column) - 1 if first else int(column),
                    rule=rule,
                    message=str(message),
                )
            )


def _reads_values_only(text: str, scope: frozenset[str], paper: str) -> bool:
    """Whether an expression is decided by named fields of a flow and a paper and by the pack's own parameters."""
    mentioned = frozenset(_IDENTIFIER.findall(text)) & scope
    return mentioned <= {"flow", paper, "params"} and None not in (seen(text, "flow"), seen(text, paper))


def _kind(value: Param) -> Kind:
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int):
        return "int"
    return "string" if isinstance(value, str) else "strings"
