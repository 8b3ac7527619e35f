"""What the style sheets, scripts and templates must not contain."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from config import translations

ROOT = Path(__file__).parents[2]
SHEETS = sorted((ROOT / "static" / "css").glob("*.css"))
SCRIPTS = sorted((ROOT / "static" / "js").glob("*.js"))
TEMPLATES = sorted((ROOT / "templates").rglob("*.html"))
# A sheet that Plotly asks for by its id is Plotly's, word for word.
OURS = [sheet for sheet in SHEETS if "plotly" not in sheet.name]

_PHYSICAL = re.compile(
    r"(?<![\w-])(?:(?:margin|padding|border)-(?:left|right|top|bottom)|(?:left|right|top|bottom)|(?:min-|max-)?(?:width|height))"
    r"\s*:|text-align:\s*(?:left|right)|float:\s*(?:left|right)"
)


@pytest.mark.parametrize("sheet", OURS, ids=lambda path: path.name)
def test_style_sheets_use_logical_properties_only(sheet: Path) -> None:
    declarations = re.sub(r"/\*.*?\*/|@media[^{]*|@page[^}]*\}", "", sheet.read_text("utf-8"), flags=re.DOTALL)
    assert _PHYSICAL.findall(declarations) == []


@pytest.mark.parametrize("path", [*SHEETS, *SCRIPTS, *TEMPLATES], ids=lambda path: path.relative_to(ROOT).as_posix())
def test_nothing_is_fetched_from_another_host(path: Path) -> None:
    text = path.read_text("utf-8")
    assert re.findall(r"""(?:src|href)=["']?(?:https?:)?//|@import|url\(["']?(?:https?:)?//""", text) == []


#: A file inside an export, read without this server: it brings its style along. It is no page of ours.
_STAND_ALONE = ROOT / "templates" / "audit" / "export_index.html"


@pytest.mark.parametrize(
    "path",
    [path for path in TEMPLATES if path != _STAND_ALONE],
    ids=lambda path: path.relative_to(ROOT).as_posix(),
)
def test_templates_hold_no_inline_style_or_script(path: Path) -> None:
    text = path.read_text("utf-8")
    assert (
        re.findall(r"<style|\sstyle=|\son[a-z]+=|<script(?![^>]*\ssrc=)(?![^>]*application/json)|javascript:", text)
        == []
    )


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_scripts_are_small_and_evaluate_nothing(script: Path) -> None:
    text = script.read_text("utf-8")
    assert re.findall(r"\beval\(|new Function|setTimeout\(\s*[\"']|document\.write", text) == []
    assert len(text.splitlines()) <= 200


def test_no_file_of_another_project_is_committed() -> None:
    assert [path.name for path in (ROOT / "static").rglob("*") if re.search(r"\.min\.|\.woff|\.ttf", path.name)] == []


@pytest.mark.parametrize("po", sorted(translations.LOCALE.glob("*/LC_MESSAGES/*.po")), ids=lambda po: po.parts[-3])
def test_compiled_translations_match_their_source(po: Path) -> None:
    compiled = translations.compile_catalogue(translations.read(po))
    assert po.with_suffix(".mo").read_bytes() == compiled, "run: python -m config.translations"
