"""What every page shows besides itself: the sidebar, the state of the log, the theme and the person."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse
from django.utils.functional import cached_property
from django.utils.timesince import timesince
from django.utils.translation import get_language_info
from django.utils.translation import gettext as _

from config import navigation, themes

if TYPE_CHECKING:
    from audit.queries import LogState


@dataclass(frozen=True, slots=True)
class LogLine:
    """The state of the log in the top bar; ``at`` is when it was found, absolute and in UTC."""

    sentence: str
    tone: str
    icon: str
    url: str
    at: str = ""
    finding: str = ""

    @property
    def alarm(self) -> bool:
        """Tampering, the only full-width banner in the product."""
        return self.tone == "critical"


def address(view: str) -> str:
    """The address of a page without arguments; empty when it is not mounted."""
    try:
        return reverse(view)
    except NoReverseMatch:
        return ""


class Shell:
    """Built for each request, evaluated only as far as a template asks: a fragment or a bare page costs no query."""

    def __init__(self, request: HttpRequest) -> None:
        self._request = request

    @cached_property
    def signed_in(self) -> bool:
        """Whether the sidebar and the top bar are shown."""
        user = getattr(self._request, "user", None)
        return bool(user is not None and user.is_authenticated)

    @property
    def theme(self) -> str:
        """``system``, ``light`` or ``dark``."""
        return themes.theme_of(self._request)

    @property
    def next_theme(self) -> str:
        """What the toggle leads to."""
        return themes.next_theme(self.theme)

    @property
    def here(self) -> str:
        """This page's address, for forms that come back to it; the front page after anything but a GET."""
        return self._request.get_full_path() if self._request.method == "GET" else "/"

    @property
    def languages(self) -> list[dict[str, Any]]:
        """The languages offered, each with its own name for itself."""
        return [dict(get_language_info(code)) for code, _name in settings.LANGUAGES]

    @property
    def navigation(self) -> list[dict[str, Any]]:
        """The sidebar: groups of pages with address, icon, current mark and number of reviews."""
        match = self._request.resolver_match
        view = match.view_name if match else ""
        return [
            {
                "label": group.label,
                "pages": [
                    {
                        "url": page.url,
                        "icon": page.icon,
                        "label": page.label,
                        "current": page.is_current(view),
                        "count": self.review_count if page.counts_reviews else 0,
                    }
                    for page in group.pages
                    if page.url
                ],
            }
            for group in navigation.GROUPS
        ]

    @cached_property
    def review_count(self) -> int:
        """How many promotions wait for this person."""
        from governance.models import User
        from governance.review_queue import review_count

        user = self._request.user
        return review_count(user.actor) if isinstance(user, User) else 0

    @cached_property
    def log(self) -> LogLine:
        """What the last self-check of the log found."""
        from audit import queries

        return log_line(queries.log_state())

    @property
    def user_name(self) -> str:
        """The person's display name."""
        user = self._request.user
        return str(getattr(user, "display_name", "") or user.get_username())

    @property
    def user_roles(self) -> str:
        """The person's roles, in words."""
        from governance.models.roles import Role

        held = getattr(self._request.user, "roles", None) or []
        return ", ".join(str(Role(role).label) for role in held if role in Role.values)

    @property
    def account_url(self) -> str:
        """Own account and tokens."""
        return address("governance:account")

    @property
    def logout_url(self) -> str:
        """Where the sign-out form posts."""
        return address("governance:logout")


def log_line(state: LogState) -> LogLine:
    """A sentence, tone and icon for what the last self-check found, with its age. Unknown is not shown as fine."""
    url = address("audit:verify")
    at = state.at.strftime("%Y-%m-%d %H:%M:%S UTC") if state.at else ""
    told = {
        "n": f"{state.entries:,}",
        "checked": f"{state.checked:,}",
        "age": timesince(state.at, depth=1) if state.at else "",
    }
    if state.state == "failed":
        return LogLine(_("The log does not verify"), "critical", "shield-alert", url, at, state.finding)
    if state.state == "verified":
        sentence = _("Log verified %(age)s ago · %(n)s entries")
        if state.checked < state.entries:
            sentence = _("Log verified %(age)s ago · %(checked)s of %(n)s entries")
        return LogLine(sentence % told, "positive", "circle-check", url, at)
    if state.at:
        sentence = _("Log not verified: last looked at %(age)s ago · %(n)s entries") % told
        return LogLine(sentence, "caution", "clock", url, at, state.finding)
    return LogLine(_("Log not verified yet · %(n)s entries") % told, "caution", "clock", url)


def shell(request: HttpRequest) -> dict[str, Any]:
    """Context processor."""
    return {"shell": Shell(request)}
