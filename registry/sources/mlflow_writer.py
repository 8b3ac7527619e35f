"""MLflow's REST API, for the two things that are ever written there: a tag of a version, and an alias.

Everything else is the reading client's: its login, its limits, its sentences. Only ``mlflow_mirror`` uses this one.
"""

from __future__ import annotations

import json
from typing import Any, Self

import httpx
from django.utils.translation import gettext as _

from audit.refusals import Refused
from registry.sources.mlflow_client import API, Client

#: The code of what MLflow itself refuses for good; every other refusal may pass.
REFUSED = "mlflow.refuses"
#: ``error_code`` of MLflow's own answers that asking again does not change.
_FOR_GOOD = frozenset({"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"})
#: Bytes of a refusal that are read.
_MOST = 65_536


class Writer(Client):
    """A tracking server that is told what was decided here. Use it as a context manager."""

    def __enter__(self) -> Self:
        return self

    def aliases(self, model: str) -> dict[str, str]:
        """The aliases of a registered model with the numbers that they point at."""
        found = self._part("registered-models/get", "registered_model", {"name": model}).get("aliases") or []
        return {str(each.get("alias", "")): str(each.get("version", "")) for each in found if isinstance(each, dict)}

    def source(self, model: str, number: int) -> str:
        """What a version says that it was made from: an id that no other artifact has."""
        asked: dict[str, str | list[str]] = {"name": model, "version": str(number)}
        return str(self._part("model-versions/get", "model_version", asked).get("source") or "")

    def set_tag(self, model: str, number: int, key: str, value: str) -> None:
        """Set a tag of a version. Raises ``Refused``, as all of this does; its code is ``REFUSED`` when for good."""
        self._post("model-versions/set-tag", {"name": model, "version": str(number), "key": key, "value": value})

    def point(self, model: str, alias: str, number: int) -> None:
        """Point an alias at a version."""
        self._post("registered-models/alias", {"name": model, "alias": alias, "version": str(number)})

    def _part(self, method: str, field: str, asked: dict[str, str | list[str]]) -> dict[str, Any]:
        found = self._get(method, asked).get(field)
        if not isinstance(found, dict):
            raise self.strange(f"{self.address}/{API}/{method}")
        return found

    def _post(self, method: str, body: dict[str, Any]) -> None:
        self._json(f"{self.address}/{API}/{method}", {}, body)

    def _expect_success(self, response: httpx.Response, url: str) -> None:
        """A 404 may be a proxy's, while the server is away; only one in MLflow's own words is for good."""
        if response.status_code in (400, 404):
            code, message = _told(response)
            if code in _FOR_GOOD:
                sentence = _("MLflow at %(url)s refuses this for good: %(why)s")
                raise Refused(sentence % {"url": url, "why": message}, code=REFUSED)
        super()._expect_success(response, url)


def _told(response: httpx.Response) -> tuple[str, str]:
    """``error_code`` and ``message`` of MLflow's refusal; empty when the answer is not MLflow's."""
    body = b""
    for piece in response.iter_bytes():
        body += piece
        if len(body) > _MOST:
            return "", ""
    try:
        told = json.loads(body)
    except (ValueError, RecursionError):
        return "", ""
    if not isinstance(told, dict):
        return "", ""
    return str(told.get("error_code", "")), str(told.get("message", "")).replace("\x00", "")[:300]
