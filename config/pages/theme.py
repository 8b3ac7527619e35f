"""The toggle of the top bar, for browsers without scripts; ``static/js/theme.js`` writes the same cookie itself."""

from __future__ import annotations

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from audit.refusals import BadInput
from config import themes


@login_not_required
@require_POST
def change_theme(request: HttpRequest) -> HttpResponse:
    """Store ``theme`` in a cookie and go back to ``next`` (an address of this site only)."""
    theme = request.POST.get("theme", "")
    if theme not in themes.THEMES:
        raise BadInput(_("Choose one of: system, light, dark."), code="theme.unknown", fields={"theme": theme[:40]})
    target = request.POST.get("next", "")
    if not url_has_allowed_host_and_scheme(target, {request.get_host()}, require_https=request.is_secure()):
        target = "/"
    response = HttpResponseRedirect(target)
    response.set_cookie(
        themes.COOKIE, theme, max_age=themes.MAX_AGE, samesite="Lax", secure=settings.SESSION_COOKIE_SECURE, path="/"
    )
    return response
