"""How an endpoint is called: options, limits over all workers, time, and the name of a credential."""

from __future__ import annotations

from typing import Any, TypedDict

from django.utils.translation import gettext as _

from audit.refusals import BadInput
from registry.models import Endpoint
from registry.serving import credentials, options

#: The least and the most of each number.
LIMITS = {"concurrency": (1, 16), "rows_per_second": (1, 1_000_000), "timeout": (1, 600)}


class Calling(TypedDict, total=False):
    """``options`` of the protocol; ``concurrency``: requests at once, and ``rows_per_second`` (None: no cap), both over
    all workers; ``timeout``: seconds for one answer; ``credential``: its name, empty when none is needed.
    """

    options: dict[str, Any]
    concurrency: int
    rows_per_second: int | None
    timeout: int
    credential: str


def apply(endpoint: Endpoint, called: Calling) -> None:
    """Set what is given; options are checked against the protocol and the version that the endpoint has now.

    Raises ``BadInput`` that names the field.
    """
    for field, (least, most) in LIMITS.items():
        if field in called:
            setattr(endpoint, field, _number(field, called[field], least, most))  # type: ignore[literal-required]
    if "credential" in called:
        endpoint.credential = credentials.check(called["credential"])
    given = called.get("options", endpoint.options)
    inputs = [str(each["name"]) for each in endpoint.version.schema.get("inputs") or [] if each.get("name")]
    endpoint.options = options.check(endpoint.protocol, given, columns=inputs or None)


def facts(endpoint: Endpoint) -> dict[str, Any]:
    """For an entry of the log."""
    return {
        "options": dict(endpoint.options),
        "concurrency": endpoint.concurrency,
        "rows_per_second": endpoint.rows_per_second,
        "timeout": endpoint.timeout,
        "credential": endpoint.credential,
    }


def _number(field: str, value: Any, least: int, most: int) -> int | None:
    if value is None and field == "rows_per_second":
        return None
    if type(value) is not int or not least <= value <= most:
        sentence = _("Write a whole number from %(least)d to %(most)d.") % {"least": least, "most": most}
        raise BadInput(f"{field}: {sentence}", code=f"endpoint.{field}", fields={field: sentence})
    return value
