"""MLflow's REST API, read only (https://mlflow.org/docs/latest/rest-api.html; checked against the server 3.17.2).

The ``mlflow`` package is not imported: its clients may load what they download, and downloaded models run code. Every
failure is a ``Refused`` that names the address and the environment variable to mend; numbers with a fraction stay the
text that the server sent.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

import httpx
from django.conf import settings
from django.utils.translation import gettext as _

from audit.refusals import Refused

VARIABLE = "MLFLOW_TRACKING_URI"
API = "api/2.0/mlflow"
ARTIFACTS = "api/2.0/mlflow-artifacts/artifacts"
#: Seconds to connect, and between two packets of an answer.
CONNECT, READ = 5.0, 30.0
PAGE = 200
#: The tag by which MLflow tells its prompts from models.
PROMPT = "mlflow.prompt.is_prompt"
#: No answer of the REST API is larger, in bytes; artifacts are streamed instead.
MAX_ANSWER = 64 * 1024 * 1024


class Client:
    """A tracking server. Use it as a context manager."""

    def __init__(
        self, uri: str, *, token: str = "", username: str = "", password: str = "", read: float | None = None
    ) -> None:
        parts = urlsplit(uri.strip())
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise Refused(
                _("%(variable)s is “%(uri)s”; it must be the http or https address of an MLflow tracking server.")
                % {"variable": VARIABLE, "uri": _without_secrets(uri)},
                code="mlflow.address",
            )
        username, password = username or parts.username or "", password or parts.password or ""
        self.address = _without_secrets(uri).rstrip("/")
        self._http = httpx.Client(
            timeout=httpx.Timeout(READ if read is None else read, connect=CONNECT),
            auth=(username, password) if username else None,
            headers={"Authorization": f"Bearer {token}"} if token and not username else {},
        )

    @classmethod
    def from_settings(cls, *, read: float | None = None) -> Client:
        """The server of the ``MLFLOW_TRACKING_*`` settings. Raises ``Refused`` for a missing or strange address.

        ``read``: seconds between two packets of an answer; ``READ`` when nobody waits.
        """
        return cls(
            settings.MLFLOW_TRACKING_URI,
            token=settings.MLFLOW_TRACKING_TOKEN,
            username=settings.MLFLOW_TRACKING_USERNAME,
            password=settings.MLFLOW_TRACKING_PASSWORD,
            read=read,
        )

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    def registered_models(self) -> list[dict[str, Any]]:
        """Every registered model with its ``aliases``; prompts, which MLflow keeps in the same table, left out."""
        found = self._pages("registered-models/search", "registered_models", {})
        return [each for each in found if tags_of(each.get("tags")).get(PROMPT, "").lower() != "true"]

    def versions(self, model: str) -> list[dict[str, Any]]:
        """Every version of a model, oldest first."""
        quoted = model.replace("'", "''")
        found = self._pages("model-versions/search", "model_versions", {"filter": f"name='{quoted}'"})
        return sorted((each for each in found if each.get("name") == model), key=lambda each: int(each["version"]))

    def every_version(self) -> list[dict[str, Any]]:
        """Every version of every model, in no particular order; a page for each 200."""
        return self._pages("model-versions/search", "model_versions", {})

    def artifact_uri(self, model: str, number: int) -> str:
        """Where the files of a version are, for example ``mlflow-artifacts:/1/models/m-…/artifacts``."""
        answer = self._get("model-versions/get-download-uri", {"name": model, "version": str(number)})
        return str(answer.get("artifact_uri", ""))

    def logged_model(self, model_id: str) -> dict[str, Any]:
        """The ``info`` of a logged model, with ``source_run_id``."""
        answer = self._get(f"logged-models/{quote(model_id, safe='')}", {})
        info = answer.get("model", {}).get("info", {})
        return info if isinstance(info, dict) else {}

    def run(self, run_id: str) -> dict[str, Any]:
        """A run with ``info``, ``data`` and ``inputs``."""
        answer = self._get("runs/get", {"run_id": run_id}).get("run")
        if not isinstance(answer, dict):
            raise self.strange(f"{self.address}/{API}/runs/get")
        return answer

    def artifacts(self, path: str) -> list[dict[str, Any]]:
        """What lies directly in a folder of the artifact proxy: ``path`` (the bare name), ``is_dir``, ``file_size``."""
        files = self._json(f"{self.address}/{ARTIFACTS}", {"path": path}).get("files", [])
        if not isinstance(files, list):
            raise self.strange(f"{self.address}/{ARTIFACTS}")
        return files

    @contextmanager
    def artifact(self, path: str) -> Iterator[Iterator[bytes]]:
        """The bytes of a file of the artifact proxy, in pieces."""
        url = f"{self.address}/{ARTIFACTS}/{quote(path)}"
        with self._failures(url), self._http.stream("GET", url, headers={"Accept-Encoding": "identity"}) as response:
            self._expect_success(response, url)
            yield response.iter_bytes()

    def _pages(self, method: str, field: str, parameters: dict[str, str]) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        token = ""
        while True:
            more = {"page_token": token} if token else {}
            answer = self._get(method, {**parameters, "max_results": str(PAGE), **more})
            found += answer.get(field, [])
            following = str(answer.get("next_page_token") or "")
            if not following or following == token:
                return found
            token = following

    def _get(self, method: str, parameters: dict[str, str]) -> dict[str, Any]:
        return self._json(f"{self.address}/{API}/{method}", parameters)

    def _json(self, url: str, parameters: dict[str, str]) -> dict[str, Any]:
        body = b""
        with self._failures(url), self._http.stream("GET", url, params=parameters) as response:
            self._expect_success(response, url)
            for piece in response.iter_bytes():
                body += piece
                if len(body) > MAX_ANSWER:
                    raise self.strange(url)
        try:
            answer = json.loads(body, parse_float=str, parse_constant=str)
        except (ValueError, RecursionError):
            raise self.strange(url) from None
        if not isinstance(answer, dict):
            raise self.strange(url)
        return answer

    @contextmanager
    def _failures(self, url: str) -> Iterator[None]:
        try:
            yield
        except httpx.TimeoutException as error:
            sentence = _("MLflow at %(url)s did not answer in time. Check %(variable)s and that the server is well.")
            raise Refused(sentence % self._place(url), code="mlflow.timeout") from error
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            sentence = _("MLflow at %(url)s cannot be read (%(error)s). Check %(variable)s and that the server runs.")
            facts = {**self._place(url), "error": str(error)[:160]}
            raise Refused(sentence % facts, code="mlflow.unreachable") from error

    def _expect_success(self, response: httpx.Response, url: str) -> None:
        if response.status_code in (401, 403):
            sentence = _(
                "MLflow at %(url)s refused the login (HTTP %(status)d). Check MLFLOW_TRACKING_TOKEN, or "
                "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, for the server of %(variable)s."
            )
            raise Refused(sentence % {**self._place(url), "status": response.status_code}, code="mlflow.login")
        if response.status_code != 200:
            sentence = _("MLflow at %(url)s answered HTTP %(status)d. Check %(variable)s and the server's log.")
            code = "mlflow.missing" if response.status_code == 404 else "mlflow.status"
            raise Refused(sentence % {**self._place(url), "status": response.status_code}, code=code)

    def strange(self, url: str) -> Refused:
        """The refusal of an answer that is not MLflow's."""
        sentence = _("What answers at %(url)s does not speak MLflow's REST API. Check %(variable)s.")
        return Refused(sentence % self._place(url), code="mlflow.answer")

    def _place(self, url: str) -> dict[str, str]:
        return {"url": url, "variable": VARIABLE}


def tags_of(tags: Any) -> dict[str, str]:
    """MLflow's ``[{"key": ..., "value": ...}]`` as a mapping; NUL, which the database cannot keep, left out."""
    listed = [tag for tag in tags if isinstance(tag, dict)] if isinstance(tags, list) else []
    return {str(tag.get("key", "")): str(tag.get("value", "")).replace("\x00", "") for tag in listed}


def _without_secrets(uri: str) -> str:
    parts = urlsplit(uri.strip())
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))
