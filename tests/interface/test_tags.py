"""Template tags: what they show, and that data never becomes markup."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from types import SimpleNamespace

import pytest
from lucide import IconDoesNotExist

from config.event_looks import event_look
from config.ui import number, rounded, subject_url
from tests.interface.conftest import Render

HOSTILE = '"><script>alert(1)</script>'
DIGEST = "sha256:" + "9f2c41b7ad0e" * 5 + "9f2c"


def test_a_state_is_shown_as_icon_word_and_tone(render: Render) -> None:
    shown = render('{% status "in_review" %}')
    assert "tone-caution" in shown
    assert "<svg" in shown
    assert "In review" in shown


def test_a_label_replaces_the_word_and_not_the_tone(render: Render) -> None:
    shown = render('{% status "waiting" "2 of 3" %}')
    assert "2 of 3" in shown
    assert "tone-caution" in shown
    assert "Waiting" not in shown


def test_an_unknown_state_asks_for_attention(render: Render) -> None:
    shown = render('{% status "half_baked" %}')
    assert "tone-caution" in shown
    assert "half_baked" in shown


@pytest.mark.parametrize(
    "source",
    [
        "{% status value %}",
        "{% status 'passed' value %}",
        "{% panel value aside=value %}{{ value }}{% endpanel %}",
        "{% digest value %}",
        "{% subject value %}",
        "{% empty_state 'inbox' value value command=value href=value action=value %}",
        "{% code value %}",
        "{% copy_button value %}",
        "{% icon 'check' label=value %}",
    ],
)
def test_data_never_becomes_markup(render: Render, source: str) -> None:
    shown = render(source, value=HOSTILE)
    assert "<script" not in shown
    assert '""' not in shown.replace('=""', "")


def test_a_digest_shows_twelve_characters_and_keeps_the_whole(render: Render) -> None:
    shown = render("{% digest value %}", value=DIGEST)
    assert f'title="{DIGEST}"' in shown
    assert f'data-copy="{DIGEST}"' in shown
    assert ">sha256:</span>9f2c41b7ad0e<span" in shown


def test_no_digest_is_said_in_a_word(render: Render) -> None:
    assert "none" in render("{% digest value %}", value=None)


def test_a_moment_is_absolute_and_in_utc(render: Render) -> None:
    noon_in_riyadh = datetime(2026, 11, 21, 12, 12, tzinfo=timezone(timedelta(hours=3)))
    shown = render("{% moment value %}", value=noon_in_riyadh)
    assert "2026-11-21 09:12 UTC" in shown
    assert 'datetime="2026-11-21T09:12:00Z"' in shown


def test_a_moment_may_be_an_iso_string_from_the_facts(render: Render) -> None:
    assert "2026-11-21 09:12 UTC" in render("{% moment value %}", value="2026-11-21T09:12:00Z")


def test_a_time_without_a_zone_is_refused(render: Render) -> None:
    with pytest.raises(ValueError, match="without a zone"):
        render("{% moment value %}", value=datetime(2026, 11, 21, 9, 12))


def test_no_moment_is_a_dash(render: Render) -> None:
    assert "—" in render("{% moment value %}", value=None)


def test_an_entry_links_to_its_page(render: Render) -> None:
    shown = render("{% entry 12479 %}")
    assert 'href="/log/12479"' in shown
    assert "#12,479" in shown


def test_an_entry_without_a_number_is_being_sequenced(render: Render) -> None:
    shown = render("{% entry value %}", value=None)
    assert "no number yet" in shown
    assert "<a" not in shown


def test_entry_zero_is_an_entry(render: Render) -> None:
    assert 'href="/log/0"' in render("{% entry 0 %}")


def test_a_panel_has_a_heading_that_names_it(render: Render) -> None:
    shown = render('{% panel "Gates" aside="5 of 6 passed" %}<p>body</p>{% endpanel %}')
    assert 'aria-labelledby="gates-title"' in shown
    assert '<h2 id="gates-title">Gates</h2>' in shown
    assert "<p>body</p>" in shown
    assert "5 of 6 passed" in shown


def test_a_panel_keeps_an_aside_of_zero(render: Render) -> None:
    assert "panel-aside" in render('{% panel "Gates" aside=0 %}{% endpanel %}')


def test_a_panel_with_a_title_in_arabic_still_has_an_id(render: Render) -> None:
    assert 'id=""' not in render('{% panel "السجل" %}{% endpanel %}')


def test_an_unknown_icon_is_a_mistake_of_the_template(render: Render) -> None:
    with pytest.raises(IconDoesNotExist):
        render('{% icon "no-such-icon" %}')


def test_icons_are_hidden_from_screen_readers_unless_they_say_something(render: Render) -> None:
    assert 'aria-hidden="true"' in render('{% icon "check" %}')
    assert "visually-hidden" not in render('{% icon "check" %}')
    assert ">Done</span>" in render('{% icon "check" label="Done" %}')


@pytest.mark.parametrize(
    ("name", "address"),
    [
        ("version:credit-scoring/14", "/models/credit-scoring/14"),
        ("model:credit-scoring", "/models/credit-scoring"),
        ("environment:prod-uae", "/environments/prod-uae"),
        ("promotion:42", "/promotions/42"),
        ("version:credit-scoring/fourteen", ""),
        ("user:6f0c", ""),
        ("nonsense", ""),
        ("", ""),
    ],
)
def test_a_subject_leads_to_its_page_when_it_has_one(render: Render, name: str, address: str) -> None:
    assert subject_url(name) == address


def test_a_subject_leaves_its_kind_out_where_the_place_says_it(render: Render) -> None:
    assert ">credit-scoring/2</bdi>" in render('{% subject "version:credit-scoring/2" short=True %}')
    assert 'href="/models/credit-scoring/2"' in render('{% subject "version:credit-scoring/2" short=True %}')
    assert render('{% subject "sha256" short=True %}') == "<bdi>sha256</bdi>"


def _row(index: int | None, event: str, reason: str = "") -> SimpleNamespace:
    return SimpleNamespace(
        index=index,
        at=datetime(2026, 11, 21, 9, 12, tzinfo=UTC),
        actor_id="user:1",
        actor_name="Jonas Weber",
        event=event,
        sentence="signed off",
        reason=reason,
        was_told=event.endswith(".refused"),
    )


def test_a_history_shows_who_what_when_why_and_the_entry(render: Render) -> None:
    shown = render("{% history rows %}", rows=[_row(12479, "signoff.given", "Calibration checked.")])
    for part in ("Jonas Weber", "signed off", "Calibration checked.", "2026-11-21 09:12 UTC", "#12,479"):
        assert part in shown


def test_a_history_marks_what_a_refusal_said_as_said(render: Render) -> None:
    said = "You requested this promotion."
    assert "Was told:" in render("{% history rows %}", rows=[_row(1, "signoff.refused", said)])
    assert "Was told:" not in render("{% history rows %}", rows=[_row(1, "signoff.given", said)])


def test_an_empty_history_says_so(render: Render) -> None:
    assert "Nothing has been recorded yet." in render("{% history rows %}", rows=[])


def test_a_reason_cannot_inject_markup(render: Render) -> None:
    assert "<script" not in render("{% history rows %}", rows=[_row(1, "signoff.given", HOSTILE)])


def test_every_event_of_the_log_has_an_icon_that_exists(render: Render) -> None:
    from audit.models.events import Event

    for event in Event:
        assert event_look(event)[0]
        render("{% event_icon event %}", event=event)


@pytest.mark.parametrize(
    ("value", "signed", "shown"),
    [
        ("0.7514073349962922", False, "0.7514"),
        ("0.871", False, "0.871"),
        ("+0.0045783532856275", True, "+0.0046"),
        ("−0.00132032601152325", True, "−0.0013"),
        ("±0.000", True, "±0.000"),
        ("0.000012345", False, "0.000012"),
        ("3.14e-12", False, "3.1e-12"),
        ("18234.5", False, "18234.5"),
        ("many", False, "many"),
        ("NaN", False, "NaN"),
    ],
)
def test_a_number_is_short_and_keeps_its_meaning(value: str, signed: bool, shown: str) -> None:
    assert rounded(value, signed=signed) == shown


def test_a_number_that_was_shortened_has_the_whole_in_its_title() -> None:
    assert number("0.7514073349962922") == '<bdi title="0.7514073349962922">0.7514</bdi>'
    assert number("0.871") == "<bdi>0.871</bdi>"
    assert "—" in number("")
    assert "<script>" not in number("<script>")
