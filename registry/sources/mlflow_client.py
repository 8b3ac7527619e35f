"""MLflow's REST API, for reading (https://mlflow.org/docs/latest/rest-api.html; checked against the server 3.17.2).

The ``mlflow`` package is not imported: its clients may load what they download, and downloaded models run code. Every
failure is a ``Refused`` that names the address and the environment variable to mend; numbers with a fraction stay the
text that the server sent.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

import httpx
from django.utils.translation import gettext as _

from audit.refusals import Refused
from registry.sources.servers import FIRST, TrackingServer

VARIABLE = "MLFLOW_TRACKING_URI"
API = "api/2.0/mlflow"
ARTIFACTS = "api/2.0/mlflow-artifacts/artifacts"
#: Seconds to connect, and between two packets of an answer.
CONNECT, READ = 5.0, 30.0
PAGE = 200
#: Versions are small and many: one request for a thousand of them instead of one for each model.
VERSIONS_PAGE = 1000
#: Pages of one listing: a server that lists for ever must not keep the import busy for ever.
MAX_PAGES = 10_000
#: The tag by which MLflow tells its prompts from models.
PROMPT = "mlflow.prompt.is_prompt"
#: No answer of the REST API is larger, in bytes; artifacts are streamed instead.
MAX_ANSWER = 64 * 1024 * 1024
TOO_LARGE = "mlflow.too_large"


class Client:
    """A tracking server. Use it as a context manager."""

    def __init__(self, server: TrackingServer, *, read: float | None = None) -> None:
        """``read``: seconds between two packets of an answer, ``READ`` by default."""
        parts = urlsplit(server.uri.strip())
        self._variable = VARIABLE if server.name == FIRST else f"MLFLOW_SERVERS ({server.name})"
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise Refused(
                _("%(variable)s is “%(uri)s”; it must be the http or https address of an MLflow tracking server.")
                % {"variable": self._variable, "uri": without_secrets(server.uri)},
                code="mlflow.address",
            )
        username, password = server.username or parts.username or "", server.password or parts.password or ""
        self.address = without_secrets(server.uri)
        self._http = httpx.Client(
            timeout=httpx.Timeout(READ if read is None else read, connect=CONNECT),
            auth=(username, password) if username else None,
            headers={"Authorization": f"Bearer {server.token}"} if server.token and not username else {},
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
        return [each for each in found if each["name"] and tags_of(each.get("tags")).get(PROMPT, "").lower() != "true"]

    def versions(self) -> dict[str, list[dict[str, Any]]]:
        """Every version of every model, by the model's name, oldest first and each once."""
        order = ["name ASC", "version_number ASC"]  # the default, newest change first, shifts while it is read
        asked: dict[str, str | list[str]] = {"order_by": order, "max_results": str(VERSIONS_PAGE)}
        found: dict[str, dict[int, dict[str, Any]]] = {}
        for each in self._pages("model-versions/search", "model_versions", asked):
            found.setdefault(str(each["name"]), {})[int(each["version"])] = each
        return {name: [numbered[number] for number in sorted(numbered)] for name, numbered in found.items()}

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

    def experiments(self) -> list[str]:
        """The ids of all experiments, deleted ones included: their runs are still what a version was made by."""
        found = self._pages(
            "experiments/search", "experiments", {"view_type": "ALL", "max_results": str(VERSIONS_PAGE)}
        )
        return [str(each["experiment_id"]) for each in found]

    def runs(self, run_ids: Sequence[str], experiments: Sequence[str]) -> dict[str, dict[str, Any]]:
        """Those of the runs that lie in ``experiments``, each as ``run`` answers it, by its id.

        One request; when its answer is too large, one for each half.
        """
        quoted = ", ".join(f"'{run_id}'" for run_id in run_ids)
        body: dict[str, Any] = {"experiment_ids": list(experiments), "filter": f"attributes.run_id IN ({quoted})"}
        body |= {"run_view_type": "ALL", "max_results": len(run_ids)}
        url = f"{self.address}/{API}/runs/search"
        try:
            found = self._json(url, {}, body).get("runs", [])
        except Refused as refusal:
            if refusal.code != TOO_LARGE or len(run_ids) < 2:
                raise
            half = len(run_ids) // 2
            return self.runs(run_ids[:half], experiments) | self.runs(run_ids[half:], experiments)
        return {str(each["info"]["run_id"]): each for each in found}

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

    def _pages(self, method: str, field: str, parameters: Mapping[str, str | list[str]]) -> Iterator[dict[str, Any]]:
        """Every item of every page. A page may be empty; a token that comes again would go round for ever."""
        tokens = [""]
        while True:
            more = {"page_token": tokens[-1]} if tokens[-1] else {}
            answer = self._get(method, {"max_results": str(PAGE), **parameters, **more})
            yield from answer.get(field, [])
            following = str(answer.get("next_page_token") or "")
            if not following:
                return
            if following in tokens or len(tokens) == MAX_PAGES:
                sentence = _("MLflow at %(url)s lists the same pages again and again, so nobody knows what is missing.")
                raise Refused(sentence % {"url": f"{self.address}/{API}/{method}"}, code="mlflow.pages")
            tokens.append(following)

    def _get(self, method: str, parameters: Mapping[str, str | list[str]]) -> dict[str, Any]:
        return self._json(f"{self.address}/{API}/{method}", parameters)

    def _json(
        self, url: str, parameters: Mapping[str, str | list[str]], question: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        body = bytearray()
        method = "POST" if question else "GET"
        with self._failures(url), self._http.stream(method, url, params=parameters, json=question) as response:
            self._expect_success(response, url)
            for piece in response.iter_bytes():
                body += piece
                if len(body) > MAX_ANSWER:
                    raise self._too_large(url)
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
                "MLflow at %(url)s refused the login (HTTP %(status)d). Check the login that %(variable)s names."
            )
            if self._variable == VARIABLE:
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

    def _too_large(self, url: str) -> Refused:
        sentence = _("MLflow at %(url)s answers with more than %(size)d MiB, which is not read. Check %(variable)s.")
        return Refused(sentence % {**self._place(url), "size": MAX_ANSWER // 1024**2}, code=TOO_LARGE)

    def _place(self, url: str) -> dict[str, str]:
        return {"url": url, "variable": self._variable}


def tags_of(tags: Any) -> dict[str, str]:
    """MLflow's ``[{"key": ..., "value": ...}]`` as a mapping; NUL, which the database cannot keep, left out."""
    listed = [tag for tag in tags if isinstance(tag, dict)] if isinstance(tags, list) else []
    return {str(tag.get("key", "")): str(tag.get("value", "")).replace("\x00", "") for tag in listed}


def without_secrets(uri: str) -> str:
    """An address as it is shown and stored: without login, query and the slash at its end."""
    parts = urlsplit(uri.strip())
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", "")).rstrip("/")
