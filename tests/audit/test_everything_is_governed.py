"""Completeness by machine: every table of ours is under the log's rule, or stands here with the reason why it is not.

Whoever adds a model meets these tests: it is governed (its triggers, its events, their sentences), or it is listed.
"""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from django.apps import apps
from django.db import models
from django.test.utils import isolate_apps

from audit.governance_of_tables import governed
from audit.models import Event, Governed
from audit.models.events import SENTENCES
from audit.posture import fetch, governed_tables
from config.stack import database
from tests.audit.story import as_attacker, execute
from tests.conftest import CommittedDatabase

ROOT = Path(__file__).resolve().parents[2]
APPS = ("audit", "registry", "explain", "governance", "config")
#: Tables whose rows may change without an entry, and why that is right.
UNGOVERNED = {
    "governance_backtest_progress": "how far a worker is; what it finds has its entry",
    "governance_factor_challenge": "what a browser was asked to sign, for minutes; it allows nothing by itself",
    "governance_factor_use": "the newest code or counter that was accepted; what it was good for has its entry",
    "governance_idempotency": "repeats an answer; the change that it answers for has its entry",
    "governance_sign_in_attempt": "counts for the throttle; the entry session.refused is the record",
    "governance_token_use": "when a token was last used, at most once a minute; it decides nothing",
    "registry_source_import": "what an import did; what it wrote has its entries",
    "registry_mlflow_delivery": "that MLflow said something; what changed is read from MLflow and has its entries",
    "registry_openlineage_event": "what a producer sent, append-only; what it changes has entries that name its digest",
    "registry_openlineage_outcome": "which of these events were applied, and what was wrong with them",
    "registry_openlineage_name": "what a producer calls a data set; its name here is computed from that",
    "registry_mlflow_write": "what MLflow is still to be told of a change that has its entry; telling it has its own",
    "registry_mlflow_look": "when an import looked at MLflow; what it found has its entries",
    "registry_endpoint_pace": "when the next rows may go to an endpoint; it decides nothing, a cap has its entry",
    "registry_finding_seen": "when a difference was last seen, at every look; opened and gone are entries",
    "registry_reconciler_run": "what a look could ask; every difference that it found has its entries",
    "explain_explanationinput": "sealed rows: the job's entry holds the digest of their commitments",
    "explain_notice": "who is still to be told that a job ended; the end has its entry",
    "explain_explanationrow": "the entry that finishes the job holds the digest of all its rows",
    "django_session": "a cookie's state; signing in and out are entries",
    "django_content_type": "names of models, written by migrations",
    "django_migrations": "which migrations ran; the runtime role may only read it",
    "auth_permission": "Django's own permissions decide nothing here; written by migrations",
    "auth_group": "Django's own groups decide nothing here: roles are columns of an account",
    "auth_group_permissions": "the same",
}
#: The word before the dot in a record's events, where it is not the word before the colon in its subject.
EVENTS_OF = {"edge": "lineage"}
#: Words of events that are about no table's rows: the log itself, what the server did, and what was erased.
ABOUT_NO_ROW = {
    "mlflow",  # what a tracking server was told of versions and aliases
    *("log", "key", "alert", "subject", "story", "session", "text", "contributor", "record"),
    *(
        "out_of_band",
        "rollback",
        "role",
        "signoff",
        "permit",
        "rollout",
    ),  # said of a deployment, an account or a promotion
}
_TRIGGERS = """
    SELECT c.relname, t.tgname, t.tgenabled, pg_get_triggerdef(t.oid)
    FROM pg_trigger t JOIN pg_class c ON c.oid = tgrelid WHERE tgname IN ('governed_entry', 'governed_truncate')
"""
_TABLES = """
    SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'f') ORDER BY 1
"""
_RULES = {
    "governed_entry": "CREATE CONSTRAINT TRIGGER governed_entry AFTER INSERT OR DELETE OR UPDATE ON public.{table}"
    " DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION audit.require_entry()",
    "governed_truncate": "CREATE TRIGGER governed_truncate BEFORE TRUNCATE ON public.{table}"
    " FOR EACH STATEMENT EXECUTE FUNCTION audit.refuse_truncate()",
}


def not_covered(known: Iterable[type[models.Model]]) -> Iterator[str]:
    """One sentence for every table that is neither governed nor listed, and for every rule that is not whole."""
    managed = [model for model in known if model._meta.managed and not model._meta.proxy]
    governs = {model._meta.db_table: model for model in managed if issubclass(model, Governed)}
    there = {name for (name,) in fetch(_TABLES, [])}
    found = {(table, name): (enabled, rule) for table, name, enabled, rule in fetch(_TRIGGERS, [])}
    for table in sorted({model._meta.db_table for model in managed} | there):
        if table in governs and table in UNGOVERNED:
            yield f"{table} is governed and must not be listed as ungoverned"
        elif table not in governs and table not in UNGOVERNED:
            yield f"{table} is neither governed nor listed with a reason"
    for table, model in governs.items():
        for name, rule in _RULES.items():
            if found.get((table, name)) != ("O", rule.format(table=table)):
                yield f"{table} has no whole trigger {name}: use audit.governance_of_tables.governed in its migration"
        yield from _not_told(model)
    for table in sorted(UNGOVERNED.keys() - there):
        yield f"{table} is listed as ungoverned and does not exist"


def _not_told(model: type[Governed]) -> Iterator[str]:
    """What is missing so that an entry about a row of ``model`` can be found and read."""
    if (key := model._meta.pk) is None or key.column != "id":
        yield f"{model.__name__} has another primary key than id, which is what the rule compares"
    if model.subject is Governed.subject:
        yield f"{model.__name__} does not say what its subject is called"
        return
    for kind in _kinds(model):
        word = EVENTS_OF.get(kind, kind)
        if not any(event.value.startswith(f"{word}.") for event in Event):
            yield f"{model.__name__} is called {kind}:…, and no event begins with «{word}.»"


def _kinds(model: type[Governed]) -> set[str]:
    """The words before the colon in the subjects of ``model``, from the source of the property."""
    source = inspect.getsource(model.subject.fget)  # type: ignore[attr-defined]
    return set(re.findall(r"f\"([a-z_]+):\{", source))


@pytest.mark.usefixtures("committed_db")
def test_every_table_is_governed_or_listed_with_the_reason() -> None:
    assert list(not_covered(apps.get_models(include_auto_created=True))) == []
    assert len(governed_tables()) > 15


@isolate_apps("registry")
def test_a_model_that_somebody_forgets_is_reported(committed_db: CommittedDatabase) -> None:
    class Forgotten(Governed):
        class Meta:
            app_label = "registry"

        @property
        def subject(self) -> str:
            return f"forgotten:{self.pk}"

    class Nameless(Governed):
        code = models.TextField(primary_key=True)

        class Meta:
            app_label = "registry"

    class Plain(models.Model):  # noqa: DJ008  nobody reads its rows
        class Meta:
            app_label = "registry"

    execute(
        committed_db.url(database.OWNER),
        *(f"CREATE TABLE registry_{name} (id bigint PRIMARY KEY)" for name in ("forgotten", "nameless", "plain")),
        "CREATE TABLE made_by_hand (id bigint)",
        str(governed("registry_nameless").sql),
    )
    mend = "use audit.governance_of_tables.governed in its migration"
    assert list(not_covered([*apps.get_models(include_auto_created=True), Forgotten, Nameless, Plain])) == [
        "made_by_hand is neither governed nor listed with a reason",
        "registry_plain is neither governed nor listed with a reason",
        f"registry_forgotten has no whole trigger governed_entry: {mend}",
        f"registry_forgotten has no whole trigger governed_truncate: {mend}",
        "Forgotten is called forgotten:…, and no event begins with «forgotten.»",
        "Nameless has another primary key than id, which is what the rule compares",
        "Nameless does not say what its subject is called",
    ]


def test_a_trigger_that_is_switched_off_or_does_less_is_reported(committed_db: CommittedDatabase) -> None:
    as_attacker(
        committed_db.admin_url,
        "ALTER TABLE registry_alias DISABLE TRIGGER governed_entry",
        "DROP TRIGGER governed_entry ON registry_model",
        "CREATE CONSTRAINT TRIGGER governed_entry AFTER INSERT ON registry_model"
        " DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION audit.require_entry()",
    )
    found = list(not_covered(apps.get_models(include_auto_created=True)))
    assert [sentence.split(":")[0] for sentence in found] == [
        "registry_model has no whole trigger governed_entry",
        "registry_alias has no whole trigger governed_entry",
    ]


def test_every_event_has_a_sentence_of_its_own() -> None:
    assert SENTENCES.keys() == set(Event)
    said = [str(sentence) for sentence in SENTENCES.values()]
    assert all(sentence.strip() == sentence != "" for sentence in said)
    assert len(set(said)) == len(said), "two events read the same"


def test_every_event_is_about_a_governed_record_or_about_the_log() -> None:
    kinds = {EVENTS_OF.get(kind, kind) for model in _governed() for kind in _kinds(model)}
    assert not kinds & ABOUT_NO_ROW
    assert {event.value.partition(".")[0] for event in Event} == kinds | ABOUT_NO_ROW


def _governed() -> list[type[Governed]]:
    return [model for model in apps.get_models() if issubclass(model, Governed) and model._meta.managed]


def _product() -> Iterator[ast.AST]:
    for app in APPS:
        for path in sorted((ROOT / app).rglob("*.py")):
            if "migrations" not in path.parts and path.name != "events.py":
                yield ast.parse(path.read_text())


def test_every_event_is_written_by_the_product() -> None:
    used = {
        node.attr
        for tree in _product()
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "Event"
    }
    assert {event.name for event in Event} - used == set()


def test_every_change_of_a_record_is_written_with_its_values_before_and_after() -> None:
    wanted = {event.name for event in Event if event.value.endswith((".changed", ".moved"))}
    told = {
        event
        for tree in _product()
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef)
        for event in wanted & _appended(function)
        if _tells_before_and_after(function)
    }
    assert wanted - told == set()


def _appended(function: ast.FunctionDef) -> set[str]:
    """Names of the events that this function appends to the log."""
    calls = [node for node in ast.walk(function) if isinstance(node, ast.Call) and node.args]
    return {
        call.args[0].attr
        for call in calls
        if ast.unparse(call.func).endswith("append") and isinstance(call.args[0], ast.Attribute)
    }


def _tells_before_and_after(function: ast.FunctionDef) -> bool:
    source = ast.unparse(function)
    return "**changed(" in source or ("'before':" in source and "'after':" in source)


def test_a_name_that_would_need_quoting_is_not_governed() -> None:
    for name in ("x; DROP TABLE y", 'a"b', "Upper", ""):
        with pytest.raises(ValueError, match="lower-case"):
            governed(name)
