"""What outsiders fetch: the checkpoint, the keys, and the log as cacheable files (C2SP tlog-tiles).

Hashes tell nothing about what was recorded, so everybody may have them. Entries need the right to read the log.
Below ``/log/of/<number>/`` each log has addresses of its own, which never become those of another; ``/log/`` itself
answers for the newest, so nothing there is cached for longer than a checkpoint.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.utils.cache import get_conditional_response, patch_vary_headers
from django.utils.decorators import method_decorator
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe
from drf_spectacular.utils import extend_schema
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.parsers import BaseParser
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request
from rest_framework.views import APIView

from audit import entries, tile_files
from audit.log import log_id
from audit.queries import fetch
from audit.tile_files import NotATile, Tile
from audit.witnesses import queries as witnesses

#: Seconds. tlog-tiles: the checkpoint's headers should prevent caching beyond a few seconds; tiles never change.
CHECKPOINT_AGE = 2
VKEY_AGE = 60
TILE_AGE = 365 * 24 * 3600
_IS_DETACHED = "SELECT FROM audit.log_state WHERE log_id = %s AND kind = 'detached'"


@login_not_required
@require_safe
def checkpoint(request: HttpRequest, number: int | None = None) -> HttpResponseBase:
    """The newest signed checkpoint with the cosignatures that it has by now, for whoever watches the log."""
    log = _log(number)
    newest = entries.newest_checkpoint(log) if log else None
    if newest is None:
        return _refusal(_("The log has no signed checkpoint yet."), 404)
    text = newest.note + "".join(witnesses.lines(log, newest.size))
    return _file(request, text.encode(), f"public, max-age={CHECKPOINT_AGE}", _TEXT)


@login_not_required
@require_safe
def vkey(request: HttpRequest, number: int | None = None) -> HttpResponseBase:
    """The log's verification keys, one a line, Ed25519 first."""
    log = _log(number)
    keys = entries.vkeys(log) if log else []
    if not keys:
        return _refusal(_("The log has announced no key yet."), 404)
    return _file(request, ("\n".join(keys) + "\n").encode(), f"public, max-age={VKEY_AGE}", _TEXT)


@login_not_required
@require_safe
def hash_tile(request: HttpRequest, name: str, number: int | None = None) -> HttpResponseBase:
    """A tile of hashes, full or of the width that some signed checkpoint has."""
    return _tile(request, name, number)


class _AnyMediaType(BaseContentNegotiation):
    """There is one form of a bundle, whatever the request says that it prefers."""

    def select_parser(self, request: Request, parsers: Iterable[BaseParser]) -> BaseParser:
        """Nothing is ever sent here."""
        return next(iter(parsers))

    def select_renderer(
        self, request: Request, renderers: Iterable[BaseRenderer], format_suffix: str | None = None
    ) -> tuple[BaseRenderer, str]:
        """Refusals are problem documents; the bundle itself is not rendered."""
        first = next(iter(renderers))
        return first, str(first.media_type)


@extend_schema(exclude=True)
@method_decorator(login_not_required, name="dispatch")
class EntryBundle(APIView):
    """A bundle of entries, for whoever may read the log: by session, or by a token with the scope audit.read."""

    required_action = {"GET": "audit.read"}
    content_negotiation_class = _AnyMediaType

    def get(self, request: Request, name: str, number: int | None = None) -> HttpResponseBase:
        """``name`` is what follows ``tile/entries/``, ``number`` that of a log."""
        answer = _tile(request._request, "entries/" + name, number)
        patch_vary_headers(answer, ["Authorization", "Cookie"])
        return answer


def _log(number: int | None) -> int:
    """The log that an address names, the newest when it names none; 0 for a number that no log can have."""
    if number is None:
        return log_id()
    return number if number < 2**31 else 0


def _tile(request: HttpRequest, name: str, number: int | None) -> HttpResponseBase:
    try:
        tile = tile_files.parse_path("tile/" + name)
    except NotATile:
        return _refusal(
            _(
                "This is not the address of a tile. It is tile/<level>/<index>[.p/<width>]: the level from 0 to 5 or "
                "«entries», the index in groups of three digits, each but the last after an x, the width from 1 to 255."
            ),
            404,
        )
    log = _log(number)
    if not tile_files.is_published(fetch, log, tile):
        return _refusal(
            _("No signed checkpoint of the log has this tile. Fetch the checkpoint first; its size says which it has."),
            404,
        )
    try:
        content = _content(tile, log)
    except LookupError:
        if tile.level is None and fetch(_IS_DETACHED, [log]):
            return _refusal(_("The log is detached: its entries are in its export, not in the live tables."), 410)
        return _refusal(
            _("A checkpoint has this tile, and the log's tables do not hold it. Run «manage.py audit_verify»."), 503
        )
    scope = "public" if tile.level is not None else "private"
    caching = f"max-age={CHECKPOINT_AGE}" if number is None else f"max-age={TILE_AGE}, immutable"
    return _file(request, content, f"{scope}, {caching}", "application/octet-stream")


def _content(tile: Tile, log: int) -> bytes:
    if tile.level is None:
        return tile_files.entry_bundle(fetch, log, tile.index, tile.width)
    return tile_files.hash_tile(fetch, log, tile.level, tile.index, tile.width)


_TEXT = "text/plain; charset=utf-8"


def _file(request: HttpRequest, content: bytes, caching: str, kind: str) -> HttpResponseBase:
    """The content with its ETag, or 304 for who has it already."""
    etag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
    headers = {"Cache-Control": caching, "ETag": etag}
    answer = HttpResponse(content, content_type=kind, headers=headers)
    return get_conditional_response(request, etag=etag, response=answer) or answer


def _refusal(sentence: str, status: int) -> HttpResponse:
    """A sentence that no cache keeps: the tile may exist in a second."""
    return HttpResponse(sentence + "\n", content_type=_TEXT, status=status, headers={"Cache-Control": "no-store"})
