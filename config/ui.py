"""Template tags of the interface, registered as builtins: every template has them without ``{% load %}``.

Each renders one component of ``static/css/components.css``. Everything that comes from data is escaped by
:func:`django.utils.html.format_html`; icons are the only markup taken as it is, from the ``lucide`` package.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import TYPE_CHECKING
from urllib.parse import quote

from django import template
from django.urls import NoReverseMatch, reverse
from django.utils.dateparse import parse_datetime
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe
from django.utils.text import slugify
from django.utils.timesince import timesince, timeuntil
from django.utils.translation import gettext as _
from lucide.templatetags.lucide import lucide

from audit import current_log
from config.event_looks import event_look
from config.states import look_of

if TYPE_CHECKING:
    from audit.as_of import AsOf
    from audit.queries import EntryRow

register = template.Library()

#: Characters of a digest that are shown; the rest is in the title, in the copy button and on paper.
DIGEST_LENGTH = 12
#: Decimals of a measured number; all of them are in its title.
DECIMALS = 4


#: Icons that point along the line of reading; mirrored where it runs from right to left.
_DIRECTIONAL = frozenset(
    {"arrow-right", "arrow-left", "chevron-right", "chevron-left", "list-tree", "log-out", "undo-2"}
)


@lru_cache(maxsize=512)
def _icon(name: str, size: int) -> SafeString:
    """The SVG of a lucide icon. Parsing it costs about 0.2 ms, so each is built once per process."""
    kind = "icon icon-flip" if name in _DIRECTIONAL else "icon"
    markup = lucide(name, size=size, stroke_width=1.75, aria_hidden="true", focusable="false", **{"class": kind})
    return mark_safe(markup)  # noqa: S308 — from the package, not from data


@register.simple_tag
def icon(name: str, *, size: int = 16, label: str = "") -> SafeString:
    """An inlined lucide icon of ``size`` CSS pixels; decorative unless ``label`` says what it means.

    Raises ``lucide.IconDoesNotExist`` for a name that the package does not have.
    """
    picture = _icon(str(name), size)
    if not label:
        return picture
    return format_html('{}<span class="visually-hidden">{}</span>', picture, label)


@register.simple_tag
def status(state: object, label: object = "") -> SafeString:
    """The tag of a state: icon, word and tone, never colour alone. ``label`` replaces the word, not the tone."""
    look = look_of(str(state))
    return format_html(
        '<span class="tag tone-{}">{}<span>{}</span></span>', look.tone, _icon(look.icon, 14), label or look.label
    )


@register.simple_tag
def status_icon(state: object, *, size: int = 18) -> SafeString:
    """Only the icon of a state, in its tone, with its word for those who do not see it."""
    look = look_of(str(state))
    return format_html(
        '<span class="status-icon tone-{}">{}<span class="visually-hidden">{}</span></span>',
        look.tone,
        _icon(look.icon, size),
        look.label,
    )


@register.simple_block_tag
def panel(content: str, title: object, *, aside: object = "", id: str = "") -> SafeString:
    """A white panel with a heading; lists, tables and timelines inside it reach its edges by themselves.

    ``id`` defaults to the slug of the title, so that a panel can be linked to.
    """
    anchor = id or slugify(str(title)) or "panel"
    note = format_html('<div class="panel-aside">{}</div>', aside) if aside != "" and aside is not None else ""
    return format_html(
        '<section class="panel" id="{}" aria-labelledby="{}-title"><div class="panel-head">'
        '<h2 id="{}-title">{}</h2>{}</div><div class="panel-body">{}</div></section>',
        anchor,
        anchor,
        anchor,
        title,
        note,
        content,
    )


@register.simple_tag
def digest(value: object) -> SafeString:
    """A digest: twelve characters, the whole in the title and on paper, with a copy button."""
    whole = str(value or "")
    if not whole:
        return format_html('<span class="muted">{}</span>', _("none"))
    algorithm, colon, hexadecimal = whole.rpartition(":")
    return format_html(
        '<span class="digest"><code title="{}"><span class="digest-algorithm">{}</span>{}'
        '<span class="digest-rest">{}</span></code>{}</span>',
        whole,
        algorithm + colon,
        hexadecimal[:DIGEST_LENGTH],
        hexadecimal[DIGEST_LENGTH:],
        copy_button(whole),
    )


@register.simple_tag
def copy_button(text: object, label: str = "") -> SafeString:
    """A button that puts ``text`` on the clipboard (``static/js/copy.js``); hidden where scripts do not run."""
    return format_html(
        '<button type="button" class="copy" data-copy="{}" data-copied="{}" title="{}">{}{}'
        '<span class="visually-hidden">{}</span></button>',
        text,
        _("Copied"),
        label or _("Copy"),
        _icon("copy", 14),
        _icon("check", 14),
        label or _("Copy"),
    )


@register.simple_tag
def number(value: object, *, signed: bool = False) -> SafeString:
    """A measured number with at most four decimals, the recorded one in its title; ``signed`` keeps + and −.

    What is no number is shown as it is, and nothing as a dash.
    """
    whole = "" if value is None else str(value)
    if not whole:
        return format_html('<span class="muted">{}</span>', "—")
    short = rounded(whole, signed=signed)
    return (
        format_html('<bdi title="{}">{}</bdi>', whole, short) if short != whole else format_html("<bdi>{}</bdi>", whole)
    )


def rounded(value: str, *, signed: bool = False) -> str:
    """``0.7514`` for ``0.7514073349962922``; two significant digits where four decimals would leave less."""
    try:
        exact = Decimal(value.replace("−", "-").replace("±", ""))
    except InvalidOperation:
        return value
    if not exact.is_finite():
        return value
    places = -exact.adjusted() + 1 if exact and abs(exact) < Decimal("0.001") else DECIMALS
    near = round(exact, places) if -int(exact.as_tuple().exponent) > places else exact
    digits = f"{abs(near):f}" if places <= 2 * DECIMALS else f"{abs(near):.1e}"
    sign = "−" if near < 0 else ("+" if near > 0 else "±") if signed else ""
    return sign + digits


@register.simple_tag
def moment(when: datetime | str | None, *, seconds: bool = False) -> SafeString:
    """An absolute UTC time in ``<time>``, relative in its title. ISO 8601 strings (from facts) are accepted.

    Raises ``ValueError`` for a time without a zone: it could mean any of two dozen moments.
    """
    if isinstance(when, str):
        when = parse_datetime(when) if when else None
    if when is None:
        return format_html('<span class="muted">{}</span>', "—")
    if when.tzinfo is None:
        raise ValueError(f"a time without a zone cannot be shown: {when!r}")
    at = when.astimezone(UTC)
    if at > datetime.now(UTC):
        distance = _("in %(time)s") % {"time": timeuntil(at, depth=1)}
    else:
        distance = _("%(time)s ago") % {"time": timesince(at, depth=1)}
    return format_html(
        '<time datetime="{}" title="{}"><bdi>{}</bdi></time>',
        at.strftime("%Y-%m-%dT%H:%M:%SZ"),
        distance,
        at.strftime("%Y-%m-%d %H:%M:%S UTC" if seconds else "%Y-%m-%d %H:%M UTC"),
    )


@register.simple_tag
def entry(index: int | None, log: int | None = None) -> SafeString:
    """A link to an entry of the log, ``#12,479``; in words while the sequencer has not numbered it yet.

    ``log`` is the number of its log; an address names it only when it is no longer the one in use.
    """
    if index is None:
        return format_html('<span class="muted sequencing">{}</span>', _("no number yet"))
    return format_html(
        '<a class="entry" href="{}{}"><bdi>#{}</bdi></a>',
        reverse("audit:entry", args=[index]),
        f"?log={log}" if log and log != current_log.number() else "",
        f"{index:,}",
    )


@register.simple_tag
def as_of_sentence(then: AsOf) -> SafeString:
    """«As of 2026-11-22 09:00:00 UTC, from entries #0 to #412.» The first sentence of a page about the past."""
    return format_html(
        _("As of {moment}, from entries {first} to {last}."),
        moment=moment(then.at, seconds=True),
        first=entry(0, then.log_id),
        last=entry(then.last, then.log_id),
    )


#: How a subject's prefix is turned into an address: URL name and the parts of the rest that it takes.
_SUBJECT_PAGES: dict[str, str] = {
    "safeguard": "governance:transfer",
    "halt": "governance:transfer",
    "waiver": "governance:waiver",
    "emergency": "governance:emergency",
    "evidence": "governance:evidence_detail",
    "evidence_key": "governance:evidence_key",
    "version": "registry:version",
    "model": "registry:model",
    "dataset": "registry:dataset",
    "environment": "registry:environment",
    "deployment": "registry:deployment",
    "finding": "registry:finding",
    "run": "registry:run",
    "promotion": "governance:promotion",
    "decision": "governance:decision",
    "explanation": "explain:explanation",
    "analysis": "explain:analysis",
    "incident": "governance:incident",
    "export": "audit:export",
    "pack": "governance:policy",
    "policy": "governance:policy",
}


def subject_url(name: str) -> str:
    """The page of a subject such as ``version:credit-scoring/14``; empty when it has no page of its own."""
    kind, _colon, rest = str(name).partition(":")
    page = _SUBJECT_PAGES.get(kind)
    if page is None or not rest:
        return ""
    try:
        return reverse(page, args=rest.rsplit("/", 1) if kind == "version" else [rest])
    except NoReverseMatch:
        return ""


@register.simple_tag
def subject(name: object, names: Mapping[str, str] | None = None, *, short: bool = False) -> SafeString:
    """A subject by its name, linked to its page when it has one. ``names`` says what accounts are called; ``short``
    leaves out the kind where the place says it.
    """
    if names and (person := names.get(str(name))):
        return format_html('<bdi title="{}">{}</bdi>', name, person)
    address = subject_url(str(name))
    shown = format_html("<bdi>{}</bdi>", str(name).partition(":")[2] or name if short else name)
    return format_html('<a class="subject" href="{}">{}</a>', address, shown) if address else shown


@register.simple_tag
def role_names(roles: Iterable[str]) -> str:
    """Roles in words; one that is no longer known as it was recorded."""
    from governance.models.roles import Role

    return ", ".join(str(Role(role).label) if role in Role.values else role for role in roles)


@register.simple_tag
def lineage_link(name: object) -> SafeString:
    """The address of the lineage page around a subject, depth 2."""
    return format_html("{}?focus={}&depth=2", reverse("registry:lineage"), quote(str(name), safe=""))


@register.simple_tag
def empty_state(
    icon_name: str, title: object, text: object = "", *, command: str = "", href: str = "", action: object = ""
) -> SafeString:
    """What will be here, why it is empty, and one action: a link (``href``, ``action``) or a ``command`` to copy."""
    link = format_html('<a class="btn" href="{}">{}</a>', href, action) if href else ""
    return format_html(
        '<div class="empty">{}<p class="empty-title">{}</p><p class="empty-text">{}</p>{}{}</div>',
        _icon(str(icon_name), 24),
        title,
        text,
        code(command) if command else "",
        link,
    )


@register.simple_tag
def code(text: object) -> SafeString:
    """A block of code or a command, scrollable by keyboard, with a copy button."""
    return format_html(
        '<div class="code" dir="ltr"><pre tabindex="0"><code>{}</code></pre>{}</div>', text, copy_button(text)
    )


@register.simple_tag
def event_icon(event: object) -> SafeString:
    """The round mark of an event, as in a timeline."""
    picture, tone = event_look(event)
    return format_html('<span class="event-icon tone-{}">{}</span>', tone, _icon(picture, 14))


def _history_row(row: EntryRow) -> SafeString:
    picture, tone = event_look(row.event)
    told = format_html('<span class="muted">{}</span> ', _("Was told:")) if row.was_told else ""
    comment = format_html("<blockquote>{}<bdi>{}</bdi></blockquote>", told, row.reason) if row.reason else ""
    return format_html(
        '<li class="event"><span class="event-icon tone-{}">{}</span><div class="event-text">'
        '<p><strong><bdi>{}</bdi></strong> {}</p>{}<p class="event-time">{}</p></div>'
        '<span class="event-entry">{}</span></li>',
        tone,
        _icon(picture, 14),
        row.actor_name or row.actor_id,
        row.sentence,
        comment,
        moment(row.at),
        entry(row.index),
    )


@register.simple_tag
def history(rows: Iterable[EntryRow]) -> SafeString:
    """A timeline of log entries, in the order given."""
    items = format_html_join("", "{}", ((_history_row(row),) for row in rows))
    if not items:
        return empty_state("history", _("Nothing has been recorded yet."))
    return format_html('<ol class="timeline">{}</ol>', items)
