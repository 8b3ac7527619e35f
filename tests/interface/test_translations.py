"""The writer of compiled catalogues, against Python's own reader; and that Arabic keeps every placeholder."""

from __future__ import annotations

import gettext
import io
import re
from pathlib import Path

import pytest
from django.utils import translation

from config import translations
from config.states import STATES


def _catalogue(tmp_path: Path, text: str) -> gettext.GNUTranslations:
    po = tmp_path / "test.po"
    po.write_text(text, "utf-8")
    return gettext.GNUTranslations(io.BytesIO(translations.compile_catalogue(translations.read(po))))


HEADER = (
    'msgid ""\nmsgstr ""\n"Content-Type: text/plain; charset=UTF-8\\n"\n'
    '"Plural-Forms: nplurals=2; plural=n != 1;\\n"\n\n'
)


def test_strings_on_several_lines_plurals_contexts_and_escapes_are_read(tmp_path: Path) -> None:
    made = _catalogue(
        tmp_path,
        HEADER
        + 'msgid "a"\n"b \\"c\\"\\n"\nmsgstr "ع\\n"\n\n'
        + 'msgid "%d row"\nmsgid_plural "%d rows"\nmsgstr[0] "one"\nmsgstr[1] "many"\n'
        + 'msgctxt "verb"\nmsgid "log"\nmsgstr "write"\n',
    )
    assert made.gettext('ab "c"\n') == "ع\n"
    assert [made.ngettext("%d row", "%d rows", n) for n in (1, 2)] == ["one", "many"]
    assert made.pgettext("verb", "log") == "write"


def test_fuzzy_and_missing_translations_fall_back_to_the_original(tmp_path: Path) -> None:
    made = _catalogue(
        tmp_path,
        HEADER + '#, fuzzy\nmsgid "one"\nmsgstr "uno"\n\nmsgid "two"\nmsgstr ""\n\nmsgid "three"\nmsgstr "tre"\n',
    )
    assert [made.gettext(word) for word in ("one", "two", "three")] == ["one", "two", "tre"]


@pytest.mark.parametrize("line", ["msgid one", 'msgid "one', "nonsense"])
def test_a_line_that_is_not_understood_is_named(tmp_path: Path, line: str) -> None:
    po = tmp_path / "test.po"
    po.write_text(HEADER + line + "\n", "utf-8")
    with pytest.raises(translations.CatalogueError, match=r"test\.po:6"):
        translations.read(po)


def test_every_translation_keeps_its_placeholders() -> None:
    for po in translations.LOCALE.glob("*/LC_MESSAGES/*.po"):
        for original, translated in translations.read(po).items():
            wanted = set(re.findall(r"%\(\w+\)\w|%[ds]", original))
            for form in translated.split("\0"):
                assert set(re.findall(r"%\(\w+\)\w|%[ds]", form)) <= wanted, original
            assert set(re.findall(r"%\(\w+\)\w|%[ds]", translated)) == wanted, original


def test_every_state_is_said_in_arabic() -> None:
    english = {str(look.label) for look in STATES.values()}
    with translation.override("ar"):
        arabic = {str(look.label) for look in STATES.values()}
    assert english & arabic == set()


def test_every_sentence_of_the_log_is_said_in_arabic() -> None:
    from audit.models.events import SENTENCES

    english = {str(sentence) for sentence in SENTENCES.values()}
    with translation.override("ar"):
        assert {str(sentence) for sentence in SENTENCES.values()} & english == set()


def test_the_sidebar_is_said_in_arabic() -> None:
    from config import navigation

    english = {str(page.label) for _group, page in navigation.pages()}
    with translation.override("ar"):
        assert {str(page.label) for _group, page in navigation.pages()} & english == set()
