"""A second look at registered versions: their files never change, but their runs may be given more data sets."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from audit.actors import Actor
from audit.refusals import Refused
from registry.lineage import edges
from registry.models import Run
from registry.sources import claims, stored
from registry.sources.ahead import ahead
from registry.sources.imports import ImportSummary
from registry.sources.mlflow_client import Client
from registry.sources.mlflow_versions import claims_of, understood

#: Runs in one request: MLflow answers hundreds in the time of a handful.
RUNS = 400


@dataclass(frozen=True, slots=True)
class Seen:
    """A registered version and what MLflow lists under its number now."""

    version: stored.KnownVersion
    entry: dict[str, Any]


def look_again(client: Client, seen: Sequence[Seen], summary: ImportSummary, by: Actor) -> None:
    """Record data sets that known runs were given since, and say where a number stands for another artifact now.

    One request and three queries for each ``RUNS`` versions of which nothing changed; the next ones are asked for while
    these are compared.
    """
    summary.unchanged += len(seen)
    same = [each for each in seen if _is_the_same(each, summary)]
    if not same:
        return
    labels = {each.version.run_id: each.version.label for each in same if each.version.run_id}
    runs, experiments = list(labels), understood(client, client.experiments)
    parts = [runs[first : first + RUNS] for first in range(0, len(runs), RUNS)]
    with closing(ahead((partial(_claims, client, part, experiments) for part in parts), 1)) as given:
        for each in given:
            _record_new_inputs(labels, each.result(), summary, by)


def _is_the_same(each: Seen, summary: ImportSummary) -> bool:
    """False, and a sentence, for another artifact: a model that was deleted in MLflow and made again counts from 1."""
    known, entry = each.version, each.entry
    source, run_id = str(entry.get("source", ""))[:1000], str(entry.get("run_id") or "")
    if not known.source_uri or (source == known.source_uri and run_id in ("", known.run_id)):
        return True
    sentence = _("%(label)s is another artifact in MLflow (%(there)s) than the one registered here (%(here)s).")
    facts = {"label": known.label, "there": source[:80], "here": known.source_uri[:80]}
    summary.problems.append(sentence % facts)
    return False


def _claims(client: Client, runs: list[str], experiments: list[str]) -> dict[str, list[claims.Claim]]:
    """What each of the runs says that it read."""
    return understood(client, lambda: _asked(client, runs, experiments))


def _asked(client: Client, runs: list[str], experiments: list[str]) -> dict[str, list[claims.Claim]]:
    found = client.runs(runs, experiments)
    for run_id in runs:
        if run_id not in found:  # of an experiment that this login may not list
            try:
                found[run_id] = client.run(run_id)
            except Refused as refusal:
                if refusal.code != "mlflow.missing":
                    raise
    return {run_id: claims_of(run) for run_id, run in found.items()}


def _record_new_inputs(
    labels: dict[str, str], given: dict[str, list[claims.Claim]], summary: ImportSummary, by: Actor
) -> None:
    inputs = stored.inputs_of(given)
    named = stored.datasets_named(name for listed in given.values() for each in listed for name in each.names)
    new = {
        run_id: [each for each in listed if _subject(each, named) not in inputs.get(run_id, ())]
        for run_id, listed in given.items()
    }
    for run in Run.objects.filter(run_id__in=[run_id for run_id, listed in new.items() if listed]):
        with transaction.atomic():
            for claim in new[run.run_id]:
                edges.record_edge(claims.settle(claim, by=by), run, by=by)
                summary.problems += [f"{labels[run.run_id]}: {problem}" for problem in claim.problems]


def _subject(claim: claims.Claim, named: dict[str, Any]) -> str:
    found = claims.among(claim, named)
    return found.subject if found else ""
