"""The table of states: complete, and made of icons and tones that exist."""

from __future__ import annotations

import typing

import pytest
from django.apps import apps
from django.db.models import Field

from config.states import STATES, Tone
from config.ui import _icon

OURS = {"audit", "registry", "explain", "governance"}
#: Columns whose value is a state that pages show as a tag.
STATE_COLUMNS = {"state", "status", "verdict", "outcome"}


def _state_columns() -> list[Field]:  # type: ignore[type-arg]
    return [
        field
        for model in apps.get_models()
        if model._meta.app_label in OURS
        for field in model._meta.get_fields()
        if isinstance(field, Field) and field.name in STATE_COLUMNS and field.choices
    ]


def test_every_state_of_every_model_has_a_tone() -> None:
    columns = _state_columns()
    assert columns
    missing = [f"{field.model.__name__}.{field.name}={value}" for field in columns for value, _ in field.flatchoices]
    assert [name for name in missing if name.partition("=")[2] not in STATES] == []


def test_every_word_of_the_decision_engine_has_a_tone() -> None:
    from governance.policies import quorum, results

    words = {*typing.get_args(results.Word), *typing.get_args(results.Outcome), *typing.get_args(quorum.State)}
    assert words - STATES.keys() == set()


@pytest.mark.parametrize("state", STATES)
def test_every_look_has_a_tone_an_icon_that_exists_and_a_word(state: str) -> None:
    look = STATES[state]
    assert look.tone in Tone
    assert "<svg" in _icon(look.icon, 14)
    assert str(look.label)


@pytest.mark.parametrize(
    ("tone", "states"),
    [
        (Tone.POSITIVE, "passed signed approved verified serving"),
        (Tone.CAUTION, "waiting in_review near_bound held expiring"),
        (Tone.CRITICAL, "failed rejected rolled_back tampered breached"),
        (Tone.INFO, "evaluated running waived canary"),
        (Tone.NEUTRAL, "draft withdrawn superseded retired"),
    ],
)
def test_the_tones_are_those_of_the_design(tone: Tone, states: str) -> None:
    for state in states.split():
        assert STATES[state].tone == tone
