"""Environments and the endpoints in them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Unpack
from urllib.parse import urlsplit

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from audit import log
from audit.actors import Actor
from audit.changes import changed
from audit.models.events import Event
from audit.refusals import BadInput, Conflict, NotKnown
from registry import naming, regions
from registry.models import Endpoint, Environment, ModelVersion, Perimeter, Protocol, Tier
from registry.serving import calling, credentials
from registry.serving.calling import Calling

#: What an answer of an endpoint may mean; explanations refuse an endpoint that does not say.
OUTPUT_KINDS = ("probability", "score", "label", "value")
#: Why a place that nobody named is refused.
UNSAID = gettext_lazy(
    "Say where, even when there is none: an empty list means none, and what nobody says may be anywhere."
)


@transaction.atomic
def register_environment(
    slug: str,
    *,
    name: str,
    tier: str,
    regions_served: Sequence[str],
    perimeter: str,
    log_sinks: Sequence[str],
    backups: Sequence[str] | None,
    support_access: Sequence[str] | None,
    explanation_workers: Sequence[str] | None,
    by: Actor,
) -> Environment:
    """Add an environment. ``regions_served`` and ``log_sinks`` are ``provider:region`` ids, neither may be empty.

    ``backups`` and ``explanation_workers`` are such ids as well, ``support_access`` country codes; each may be empty,
    which says that there is none, but must be said: None is refused.

    Raises ``BadInput`` for an unknown region (naming near matches), country, tier or perimeter, ``Conflict`` for a
    taken slug.
    """
    naming.name(slug, field="slug")
    if slug == "new":  # the page that registers one has that address
        sentence = _("Choose another name: “new” is the address of the page that registers one.")
        raise BadInput(sentence, code="environment.slug", fields={"slug": sentence})
    if Environment.objects.filter(slug=slug).exists():
        raise Conflict(_("An environment “%(slug)s” exists already.") % {"slug": slug}, code="environment.exists")
    environment = Environment(
        slug=slug,
        name=naming.text(name, field="name", limit=200),
        tier=naming.choice(tier, Tier.values, field="tier"),
        regions=_region_ids(regions_served, field="regions"),
        perimeter=naming.choice(perimeter, Perimeter.values, field="perimeter"),
        log_sinks=_region_ids(log_sinks, field="log_sinks"),
        backups=_said(backups, field="backups"),
        support_access=_said(support_access, field="support_access"),
        explanation_workers=_said(explanation_workers, field="explanation_workers"),
    )
    environment.save()
    log.append(Event.ENVIRONMENT_REGISTERED, environment, facts=_facts(environment), by=by)
    return environment


@transaction.atomic
def change_environment(
    environment: Environment,
    *,
    regions_served: Sequence[str] | None = None,
    log_sinks: Sequence[str] | None = None,
    perimeter: str | None = None,
    backups: Sequence[str] | None = None,
    support_access: Sequence[str] | None = None,
    explanation_workers: Sequence[str] | None = None,
    by: Actor,
) -> Environment:
    """Move an environment, its logs, backups, workers or the people who look at it; ``None`` keeps. The entry states
    before and after; nothing is written when nothing differs. Raises ``BadInput`` like ``register_environment``.
    """
    locked = Environment.objects.select_for_update().get(pk=environment.pk)
    was = _facts(locked)
    if regions_served is not None:
        locked.regions = _region_ids(regions_served, field="regions")
    if log_sinks is not None:
        locked.log_sinks = _region_ids(log_sinks, field="log_sinks")
    if perimeter is not None:
        locked.perimeter = naming.choice(perimeter, Perimeter.values, field="perimeter")
    for field, given in (
        ("backups", backups),
        ("support_access", support_access),
        ("explanation_workers", explanation_workers),
    ):
        if given is not None:
            setattr(locked, field, _said(given, field=field))
    facts = _facts(locked)
    if facts == was:
        return locked
    locked.save()
    log.append(Event.ENVIRONMENT_CHANGED, locked, facts={**facts, **changed(was, facts)}, by=by)
    return locked


@transaction.atomic
def register_endpoint(
    name: str,
    *,
    environment: Environment,
    version: ModelVersion,
    url: str,
    protocol: str = Protocol.MLFLOW,
    identity: str = "",
    output: Mapping[str, Any],
    by: Actor,
    **called: Unpack[Calling],
) -> Endpoint:
    """Add a served model. ``output`` says what its answer means: ``{"kind": "probability", "of_class": "1"}``.

    ``identity`` is an address that answers which version is served there (docs/reconciler.md); empty when none does.
    ``called``: how it is called, see ``registry.serving.calling.Calling``.

    Raises ``BadInput`` when the address is not http(s), its host is not in ``ALLOWED_ENDPOINT_HOSTS``, the contract
    does not say its kind, an option is not the protocol's or the credential is not there; ``Conflict`` for a taken
    name.
    """
    naming.name(name)
    if Endpoint.objects.filter(name=name).exists():
        raise Conflict(_("An endpoint “%(name)s” exists already.") % {"name": name}, code="endpoint.exists")
    endpoint = Endpoint(
        name=name,
        environment=environment,
        version=version,
        url=_address(url, field="url"),
        identity=_address(identity, field="identity") if identity else "",
        protocol=naming.choice(protocol, Protocol.values, field="protocol"),
        output=_contract(output),
    )
    calling.apply(endpoint, called)
    endpoint.save()
    log.append(Event.ENDPOINT_REGISTERED, endpoint, facts=_endpoint_facts(endpoint), by=by)
    return endpoint


@transaction.atomic
def change_endpoint(
    endpoint: Endpoint,
    *,
    version: ModelVersion | None = None,
    url: str | None = None,
    identity: str | None = None,
    protocol: str | None = None,
    output: Mapping[str, Any] | None = None,
    by: Actor,
    **called: Unpack[Calling],
) -> Endpoint:
    """Say that an endpoint serves another version, answers elsewhere, or is called otherwise.

    What is ``None`` or left out is kept; an empty ``identity`` is removed. Writes nothing when nothing differs. Raises
    ``BadInput`` like ``register_endpoint``.
    """
    locked = Endpoint.objects.select_for_update(of=("self",)).select_related("version").get(pk=endpoint.pk)
    was = {**locked.about, **_endpoint_facts(locked)}
    if version is not None:
        locked.version = version
    if url is not None:
        locked.url = _address(url, field="url")
    if identity is not None:
        locked.identity = _address(identity, field="identity") if identity else ""
    if protocol is not None:
        locked.protocol = naming.choice(protocol, Protocol.values, field="protocol")
    if output is not None:
        locked.output = _contract(output)
    if called or protocol is not None or version is not None:
        calling.apply(locked, called)
    facts = {**locked.about, **_endpoint_facts(locked)}
    if facts == was:
        return locked
    locked.save()
    log.append(Event.ENDPOINT_CHANGED, locked, facts={**facts, **changed(was, facts)}, by=by)
    return locked


def find_environment(slug: str) -> Environment:
    """The environment with this slug. Raises ``NotKnown`` that lists those that exist."""
    environment = next(iter(Environment.objects.filter(slug=slug).order_by()[:1]), None)
    if environment is None:
        known = ", ".join(Environment.objects.order_by("slug").values_list("slug", flat=True)[:12])
        raise NotKnown(
            _("There is no environment “%(slug)s”. Known: %(known)s.") % {"slug": slug[:128], "known": known or "–"},
            code="environment.unknown",
        )
    return environment


def endpoints() -> QuerySet[Endpoint]:
    """Every endpoint with the names of its version and environment."""
    return Endpoint.objects.select_related("environment", "version__model")


def find_endpoint(name: str) -> Endpoint:
    """The endpoint with this name. Raises ``NotKnown``."""
    endpoint = endpoints().filter(name=name).first()
    if endpoint is None:
        raise NotKnown(_("There is no endpoint “%(name)s”.") % {"name": name[:128]}, code="endpoint.unknown")
    return endpoint


def allowed_address(url: str, *, field: str = "url") -> str:
    """``url`` when this server may send requests there. Raises ``BadInput`` on ``field``.

    The host must be listed: an address that anyone may type is how a server is made to talk to its own network.
    """
    try:
        parts = urlsplit(url)
        host, _port = parts.hostname, parts.port
    except ValueError:
        raise _bad_address(_("“%(url)s” is not an address.") % {"url": url[:200]}, field) from None
    written = url.startswith(("http://", "https://")) and url.isascii() and url.isprintable() and " " not in url
    if not written or not host or parts.username or parts.password:
        raise _bad_address(
            _("Write the address as http://host:port/path or https://…, without a user name: “%(url)s” is not.")
            % {"url": url[:200]},
            field,
        )
    if host not in settings.ALLOWED_ENDPOINT_HOSTS:
        raise _bad_address(
            _("Host “%(host)s” is not allowed. An administrator adds it to ALLOWED_ENDPOINT_HOSTS.") % {"host": host},
            field,
        )
    return url


def _address(url: str, *, field: str) -> str:
    """An allowed address that may be stored, shown and logged. Raises ``BadInput`` on ``field``."""
    if name := credentials.in_query(allowed_address(url, field=field)):
        raise _bad_address(
            _("“%(name)s” in the address looks like a secret, and addresses are stored and shown: use “credential”.")
            % {"name": name[:60]},
            field,
        )
    return url


def _bad_address(sentence: str, field: str) -> BadInput:
    return BadInput(sentence, code="endpoint.address", fields={field: sentence})


def _contract(output: Mapping[str, Any]) -> dict[str, Any]:
    kind = output.get("kind")
    if kind not in OUTPUT_KINDS:
        sentence = _("Say what an answer is: “kind” must be one of %(kinds)s.") % {"kinds": ", ".join(OUTPUT_KINDS)}
        raise BadInput(sentence, code="endpoint.output", fields={"output": sentence})
    if kind == "probability" and not str(output.get("of_class", "")).strip():
        sentence = _("Say of which class the probability is, for example “of_class”: “1”.")
        raise BadInput(sentence, code="endpoint.output", fields={"output": sentence})
    return dict(output)


def _region_ids(ids: Sequence[str], *, field: str) -> list[str]:
    if isinstance(ids, str) or not ids:
        sentence = _("Name at least one region as provider:region: where the bytes are may not stay open.")
        raise BadInput(sentence, code="region.missing", fields={field: sentence})
    return [region.id for region in regions.lookup_all(ids, field=field)]


def _said(given: Sequence[str] | None, *, field: str) -> list[str]:
    """What was said of one kind of place; an empty list says that there is none. Raises ``BadInput`` for None."""
    if given is None or isinstance(given, str):
        sentence = str(UNSAID)
        raise BadInput(sentence, code="environment.unsaid", fields={field: sentence})
    if field == "support_access":
        return [each.name for each in regions.countries(given, field=field)]
    return [each.id for each in regions.lookup_all(given, field=field)]


def _facts(environment: Environment) -> dict[str, Any]:
    return {
        "name": environment.name,
        "tier": environment.tier,
        "regions": list(environment.regions),
        "perimeter": environment.perimeter,
        "log_sinks": list(environment.log_sinks),
        "backups": environment.backups,
        "support_access": environment.support_access,
        "explanation_workers": environment.explanation_workers,
    }


def _endpoint_facts(endpoint: Endpoint) -> dict[str, Any]:
    return {
        "digest": endpoint.version.digest,
        "url": endpoint.url,
        "identity": endpoint.identity,
        "protocol": endpoint.protocol,
        "output": dict(endpoint.output),
        **calling.facts(endpoint),
    }
