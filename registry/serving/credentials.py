"""What lets this server in at an endpoint. The database knows its name only.

The value is read where it is used: from the environment variable ``ENDPOINT_CREDENTIAL_<NAME>``, or from the file that
``ENDPOINT_CREDENTIALS_FILE`` names, which only its owner may read. It is never stored, shown or logged.
"""

from __future__ import annotations

import json
import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from django.conf import settings
from django.utils.translation import gettext as _

from audit.refusals import BadInput

#: Names of credentials.
NAME = re.compile(r"[A-Z][A-Z0-9_]{0,63}")
#: Keys of options that look like secrets, and names in the query of an address that are known for them: those are
#: given by name.
SECRETIVE = re.compile(r"passw|secret|token|api[_-]?key|authorization|credential", re.IGNORECASE)
_IN_A_QUERY = frozenset({"auth", "code", "key", "pwd", "sig", "signature", "subscription-key", "x-amz-signature"})
_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")
#: Headers that say how a request travels and not who sends it.
_OURS = frozenset({"host", "connection", "content-length", "content-type", "transfer-encoding", "expect", "upgrade"})


def check(name: Any) -> str:
    """``name`` when there is such a credential, or empty. Raises ``BadInput`` on ``credential``."""
    if name in ("", None):
        return ""
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise _bad(
            _("A credential is called by a name of capital letters, digits and underscores, for example SCORING.")
        )
    headers(name)
    return name


def in_query(url: str) -> str:
    """The first name in the query of ``url`` that looks like that of a secret; empty when there is none."""
    names = (name for name, _value in parse_qsl(urlsplit(url).query, keep_blank_values=True))
    return next((name for name in names if SECRETIVE.search(name) or name.lower() in _IN_A_QUERY), "")


def headers(name: str) -> dict[str, str]:
    """The headers of the credential ``name``; none for an empty name.

    Raises ``BadInput`` when it is not there, the file may be read by others, or it is not a header; never with its
    value in the sentence.
    """
    if not name:
        return {}
    value = os.environ.get(f"ENDPOINT_CREDENTIAL_{name}") or _from_file(name)
    if not value:
        raise _bad(
            _(
                "The credential “%(name)s” is not there: set ENDPOINT_CREDENTIAL_%(name)s, or add it to the file that "
                "ENDPOINT_CREDENTIALS_FILE names, for the web server and for every worker."
            )
            % {"name": name}
        )
    if isinstance(value, str) and value.lstrip().startswith("{"):
        try:
            value = json.loads(value)
        except ValueError:
            raise _bad(_("The credential “%(name)s” is not JSON.") % {"name": name}) from None
    made = {"Authorization": value} if isinstance(value, str) else value
    if not isinstance(made, Mapping) or not all(_is_header(key, each) for key, each in made.items()):
        raise _bad(
            _("The credential “%(name)s” must be the value of the Authorization header, or an object of headers.")
            % {"name": name}
        )
    return dict(made)


def _is_header(name: Any, value: Any) -> bool:
    return (
        isinstance(name, str)
        and isinstance(value, str)
        and _HEADER.fullmatch(name) is not None
        and name.lower() not in _OURS
        and value.isascii()
        and value.isprintable()
        and bool(value)
    )


def _from_file(name: str) -> Any:
    path = getattr(settings, "ENDPOINT_CREDENTIALS_FILE", "")
    if not path:
        return None
    try:
        with Path(path).open(encoding="utf-8") as file:
            if stat.S_IMODE(os.fstat(file.fileno()).st_mode) & 0o077:
                raise _bad(_("The file of credentials may be read by others: its mode must be 0600."))
            known = json.load(file)
    except OSError as error:
        raise _bad(_("The file of credentials cannot be read: %(problem)s.") % {"problem": error.strerror}) from error
    except ValueError:
        raise _bad(_("The file of credentials is not JSON.")) from None
    return known.get(name) if isinstance(known, dict) else None


def _bad(sentence: str) -> BadInput:
    return BadInput(sentence, code="endpoint.credential", fields={"credential": sentence})
