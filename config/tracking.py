"""``MLFLOW_SERVERS``: tracking servers beside the one of ``MLFLOW_TRACKING_URI``, checked at boot."""

from __future__ import annotations

import json
import os
import re
from typing import Any

from django.core.exceptions import ImproperlyConfigured

VARIABLE = "MLFLOW_SERVERS"
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")
_PREFIX = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,39}")
_SECRETS = ("token", "username", "password")
#: What a server is told of changes here; the first is the default.
WRITE_BACK = ("off", "mirror")
_KNOWN = {"name", "uri", "prefix", "write_back", *(f"{secret}_from" for secret in _SECRETS)}


def servers(text: str) -> list[dict[str, Any]]:
    """The servers of a JSON list of objects with ``name``, ``uri`` and ``prefix``, and if wanted the names of the
    variables that hold the login: ``token_from``, or ``username_from`` and ``password_from``;
    ``write_back`` is ``off`` or ``mirror``.

    Raises ImproperlyConfigured with the place of what is wrong: a server that is left out would go unwatched.
    """
    try:
        listed = json.loads(text or "[]")
    except ValueError as error:
        raise _wrong("", f"it is not JSON ({error})") from None
    if not isinstance(listed, list):
        raise _wrong("", "it is not a list")
    found = [_server(number, each) for number, each in enumerate(listed)]
    for field in ("name", "uri", "prefix"):
        values = [each[field] for each in found]
        if len(set(values)) < len(values):
            raise _wrong("", f"two servers have the same {field}")
    return found


def _server(number: int, given: Any) -> dict[str, Any]:
    if not isinstance(given, dict) or not given.keys() <= _KNOWN:
        raise _wrong(f"[{number}]", f"an object with {', '.join(sorted(_KNOWN))} is expected")
    name, uri, prefix = given.get("name", ""), given.get("uri", ""), given.get("prefix", "")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise _wrong(f"[{number}].name", "use small letters, digits and dashes, at most 40")
    if not isinstance(uri, str) or not uri.startswith(("http://", "https://")):
        raise _wrong(f"[{number}].uri", "the http or https address of a tracking server is expected")
    if not isinstance(prefix, str) or not _PREFIX.fullmatch(prefix):
        # Two servers may have models of the same name, and nobody can say beforehand that they will not.
        raise _wrong(f"[{number}].prefix", "say what stands before the names of its models, for example “risk.”")
    write_back = given.get("write_back", WRITE_BACK[0])
    if write_back not in WRITE_BACK:
        raise _wrong(f"[{number}].write_back", f"say {' or '.join(WRITE_BACK)}")
    secrets = {secret: _secret(number, secret, given.get(f"{secret}_from", "")) for secret in _SECRETS}
    return {"name": name, "uri": uri, "prefix": prefix, "write_back": write_back, **secrets}


def _secret(number: int, secret: str, variable: Any) -> str:
    if not variable:
        return ""
    value = os.environ.get(variable) if isinstance(variable, str) else None
    if not value:
        raise _wrong(f"[{number}].{secret}_from", f"the variable {variable!r} is not set")
    return value


def _wrong(place: str, sentence: str) -> ImproperlyConfigured:
    return ImproperlyConfigured(f"{VARIABLE}{place}: {sentence}.")
