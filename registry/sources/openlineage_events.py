"""Reading one event of OpenLineage (specification 2-0-2): what it says, or a sentence about why it cannot be read.

Facets that are not known here are left where they are, in the event's kept text. Nothing here asks a database.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
from django.utils.translation import gettext as _

from audit.refusals import BadInput

KINDS = {"RunEvent": "run", "DatasetEvent": "dataset", "JobEvent": "job"}
TYPES = ("START", "RUNNING", "COMPLETE", "ABORT", "FAIL", "OTHER")
#: Major versions of the specification whose events mean what this module reads.
MAJORS = ("0", "1", "2")
#: How far ahead of ours a producer's clock may be.
AHEAD = timedelta(minutes=10)
#: Data sets that one event may name.
MAX_DATASETS = 5_000
_SCHEMA = re.compile(r"(?:.*/(?P<major>\d+)-\d+-\d+/)?[^#]*#/(?:\$defs|definitions)/(?P<type>\w+)")
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
#: Tags that claim a fact, and the names under which a claim takes them.
CLAIMS = {
    "classification": "classification",
    "region": "regions",
    "regions": "regions",
    "subjects": "subjects",
    "jurisdictions": "subjects",
}


@dataclass(frozen=True, slots=True, order=True)
class Identity:
    """What a producer calls a data set. ``version`` is empty where none was named."""

    namespace: str
    name: str
    version: str = ""


@dataclass(frozen=True, slots=True)
class Mention:
    """A data set as one event describes it.

    ``tags`` are claims by the names that ``registry.sources.claims`` reads; ``columns_of`` are the data sets that its
    own facets (column lineage, explicit lineage) name as sources: they were read even when ``inputs`` leave them out.
    """

    identity: Identity
    tags: Mapping[str, str]
    symlinks: tuple[Identity, ...]
    columns_of: tuple[Identity, ...]


@dataclass(frozen=True, slots=True)
class Read:
    """An event. ``inputs`` of a data-set event hold its one data set; ``owners`` are the job's."""

    kind: str
    event_time: datetime
    producer: str
    event_type: str = ""
    run_id: str = ""
    job_namespace: str = ""
    job_name: str = ""
    owners: tuple[str, ...] = ()
    inputs: tuple[Mention, ...] = ()
    outputs: tuple[Mention, ...] = ()

    @property
    def counts(self) -> bool:
        """Whether its data sets become edges once the run is complete: those of a failed attempt never do."""
        return self.kind == "run" and self.event_type not in ("ABORT", "FAIL")


def read(body: bytes, *, now: datetime | None = None) -> Read:
    """The event in ``body``, one JSON object. With ``now`` an event of a later time is refused.

    Raises ``BadInput`` with a sentence that names the place.
    """
    try:
        event = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise _bad("", _("The event is not JSON: %s.") % str(error)[:120], code="openlineage.not_json") from error
    if not isinstance(event, dict):
        raise _bad("", _("An event of OpenLineage is a JSON object."), code="openlineage.not_an_object")
    kind = _kind(event)
    moment = _moment(event, now)
    producer = _text(event, "producer", "producer")
    if kind == "dataset":
        given = _object(event, "dataset", "dataset")
        return Read(kind, moment, producer, inputs=(_mention(given, "dataset"),))
    job = _object(event, "job", "job")
    common: dict[str, Any] = {
        "job_namespace": _text(job, "namespace", "job.namespace"),
        "job_name": _text(job, "name", "job.name"),
        "owners": tuple(_owners(_facets(job, "job"))),
        "inputs": _mentions(event, "inputs"),
        "outputs": _mentions(event, "outputs"),
    }
    if len(common["inputs"]) + len(common["outputs"]) > MAX_DATASETS:
        sentence = _("One event may name %(limit)d data sets; send several events for more.")
        raise _bad("inputs", sentence % {"limit": MAX_DATASETS}, code="openlineage.too_many")
    if kind == "job":
        return Read(kind, moment, producer, **common)
    return Read(kind, moment, producer, event_type=_type(event), run_id=_run_id(event), **common)


def _kind(event: Mapping[str, Any]) -> str:
    """By ``schemaURL``; without one by the shape: a run makes a run's event, a job alone a job's."""
    shape = "run" if "run" in event else "job" if "job" in event else "dataset" if "dataset" in event else ""
    given = event.get("schemaURL")
    if given in (None, ""):
        if not shape:
            sentence = _("Neither schemaURL nor run, job or dataset say what this event is about.")
            raise _bad("schemaURL", sentence, code="openlineage.kind")
        return shape
    found = _SCHEMA.fullmatch(given) if isinstance(given, str) else None
    if found is None or found["type"] not in KINDS:
        sentence = _("schemaURL ends with #/$defs/RunEvent, DatasetEvent or JobEvent, not “%(value)s”.")
        raise _bad("schemaURL", sentence % {"value": str(given)[-80:]}, code="openlineage.kind")
    if found["major"] is not None and found["major"] not in MAJORS:
        sentence = _("Version %(value)s of the specification is not understood here; versions up to 2 are.")
        raise _bad("schemaURL", sentence % {"value": found["major"][:20]}, code="openlineage.schema_version")
    if KINDS[found["type"]] != shape:
        sentence = _("schemaURL says %(said)s, but the event has no such part.")
        raise _bad("schemaURL", sentence % {"said": found["type"]}, code="openlineage.kind")
    return shape


def _moment(event: Mapping[str, Any], now: datetime | None) -> datetime:
    text = _text(event, "eventTime", "eventTime")
    try:
        moment = datetime.fromisoformat(text.upper())
        zoned = moment.tzinfo is not None and "T" in text.upper()
        moment = moment.astimezone(UTC)
    except (ValueError, OverflowError):
        zoned = False
    if not zoned:
        sentence = _("“%(value)s” is no moment: write RFC 3339 with its zone, for example 2026-11-22T09:00:00Z.")
        raise _bad("eventTime", sentence % {"value": text[:60]}, code="openlineage.time")
    if now is not None and moment > now + AHEAD:
        sentence = _("The event says it will happen at %(value)s. Is the producer's clock right?")
        raise _bad("eventTime", sentence % {"value": text[:60]}, code="openlineage.future")
    return moment


def _type(event: Mapping[str, Any]) -> str:
    given = event.get("eventType")
    if given is None:
        return "OTHER"
    if given not in TYPES:
        sentence = _("“%(value)s” is no eventType; one of: %(allowed)s.")
        raise _bad("eventType", sentence % {"value": str(given)[:40], "allowed": ", ".join(TYPES)})
    return str(given)


def _run_id(event: Mapping[str, Any]) -> str:
    text = _text(_object(event, "run", "run"), "runId", "run.runId").lower()
    if not _UUID.fullmatch(text):
        sentence = _("“%(value)s” is no runId: write a UUID with its dashes.")
        raise _bad("run.runId", sentence % {"value": text[:60]}, code="openlineage.run_id")
    return text


def _mentions(event: Mapping[str, Any], field: str) -> tuple[Mention, ...]:
    given = event.get(field)
    if given is None:
        return ()
    if not isinstance(given, list):
        raise _bad(field, _("This is a list of data sets."))
    return tuple(_mention(each, f"{field}/{number}") for number, each in enumerate(given))


def _mention(given: Any, place: str) -> Mention:
    if not isinstance(given, dict):
        raise _bad(place, _("A data set is an object with namespace and name."))
    facets = _facets(given, place)
    identity = _identity(given, place)
    if version := facets.get("version"):
        said = version.get("datasetVersion")
        if not isinstance(said, (str, int)) or isinstance(said, bool) or "\x00" in str(said):
            raise _bad(f"{place}/facets/version", _("datasetVersion is a text."))
        identity = Identity(identity.namespace, identity.name, str(said))
    return Mention(
        identity,
        _claimed(facets.get("tags", {}), place),
        tuple(
            _identity(each, f"{place}/facets/symlinks")
            for each in _list(facets.get("symlinks", {}), "identifiers", f"{place}/facets/symlinks")
        ),
        tuple(
            sorted(
                {
                    *_columns_of(facets.get("columnLineage", {}), f"{place}/facets/columnLineage"),
                    *_explicit(facets.get("lineage", {}), f"{place}/facets/lineage"),
                }
            )
        ),
    )


def _claimed(facet: Mapping[str, Any], place: str) -> dict[str, str]:
    """The tags that claim a fact, several of one name joined. A column's class counts for the whole, but not «none»."""
    found: dict[str, list[str]] = {}
    for tag in _list(facet, "tags", f"{place}/facets/tags"):
        key, value = (tag.get("key"), tag.get("value")) if isinstance(tag, dict) else (None, None)
        if not isinstance(key, str) or not isinstance(value, (str, int, float)):
            raise _bad(f"{place}/facets/tags", _("A tag has a key and a value."))
        name = CLAIMS.get(key.strip().lower())
        if name is None or (tag.get("field") and (name != "classification" or value == "none")):
            continue
        found.setdefault(name, []).append(str(value).strip())
    classes = list(dict.fromkeys(found.pop("classification", [])))
    tags = {name: ",".join(values) for name, values in found.items()}
    return {**tags, "classification": ",".join(classes)} if classes else tags


def _columns_of(facet: Mapping[str, Any], place: str) -> Iterator[Identity]:
    fields = facet.get("fields") or {}
    if not isinstance(fields, dict):
        raise _bad(place, _("fields maps a column to its inputFields."))
    for name, field in fields.items():
        for each in _list(field, "inputFields", f"{place}/fields/{name}"):
            yield _identity(each, place)
    for each in _list(facet, "dataset", place):
        yield _identity(each, place)


def _explicit(facet: Mapping[str, Any], place: str) -> Iterator[Identity]:
    """The data sets that the facet of explicit lineage (1-0-0) names as sources; jobs among them have no data."""
    fields = facet.get("fields") or {}
    if not isinstance(fields, dict):
        raise _bad(place, _("fields maps a column to its inputs."))
    for each in (facet, *fields.values()):
        for source in _list(each, "inputs", place):
            if isinstance(source, dict) and source.get("type") == "DATASET":
                yield _identity(source, place)


def _owners(facets: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    for owner in _list(facets.get("ownership", {}), "owners", "job/facets/ownership"):
        name = owner.get("name") if isinstance(owner, dict) else None
        if isinstance(name, str) and name.strip() and "\x00" not in name:
            yield name.strip()[:200]


def _facets(given: Mapping[str, Any], place: str) -> dict[str, Mapping[str, Any]]:
    """The facets that are objects and not marked as deleted; others are nobody's business here and stay in the text."""
    facets = given.get("facets")
    if facets is None:
        return {}
    if not isinstance(facets, dict):
        raise _bad(f"{place}/facets", _("facets is an object."))
    return {name: each for name, each in facets.items() if isinstance(each, dict) and not each.get("_deleted")}


def _identity(given: Any, place: str) -> Identity:
    if not isinstance(given, dict):
        raise _bad(place, _("A data set is an object with namespace and name."))
    return Identity(_text(given, "namespace", f"{place}/namespace"), _text(given, "name", f"{place}/name"))


def _list(given: Any, field: str, place: str) -> list[Any]:
    found = given.get(field) if isinstance(given, Mapping) else None
    if found is None and isinstance(given, Mapping):
        return []
    if not isinstance(found, list):
        raise _bad(place, _("%(field)s is a list.") % {"field": field})
    return found


def _object(given: Mapping[str, Any], field: str, place: str) -> Mapping[str, Any]:
    found = given.get(field)
    if not isinstance(found, dict):
        raise _bad(place, _("%(field)s is missing, or is no object.") % {"field": place})
    return found


def _text(given: Mapping[str, Any], field: str, place: str) -> str:
    found = given.get(field)
    if not isinstance(found, str) or not found.strip() or "\x00" in found:
        raise _bad(place, _("%(field)s is missing, or is no text.") % {"field": place})
    return found


def _bad(place: str, sentence: str, *, code: str = "openlineage.invalid") -> BadInput:
    said = f"{place}: {sentence}" if place else sentence
    return BadInput(said, code=code, fields={place: sentence} if place else {})
