"""Compiling ``django.po`` to ``django.mo`` without GNU gettext, which a user's machine need not have.

The result is committed beside its source; a test compares the two. After a change: ``python -m config.translations``.
The format is that of the GNU gettext manual, "The Format of GNU MO Files": a header of seven 32-bit words, two tables
of (length, offset) and the strings, sorted by their original.
"""

from __future__ import annotations

import ast
import struct
from pathlib import Path

_MAGIC = 0x950412DE
_HEADER_SIZE = 28
LOCALE = Path(__file__).resolve().parent.parent / "locale"


class CatalogueError(ValueError):
    """A line of a ``.po`` file that cannot be understood; the text names the file and the line."""


def read(po: Path) -> dict[str, str]:
    """Originals and translations of a ``.po`` file. Plurals and contexts are joined as gettext looks them up.

    Entries marked fuzzy and entries without a translation are left out, as ``msgfmt`` does. Raises ``CatalogueError``.
    """
    catalogue: dict[str, str] = {}
    parts: dict[str, str] = {}
    fuzzy = False
    current = ""

    def keep() -> None:
        if "msgid" not in parts or fuzzy:
            return
        forms = [text for name, text in parts.items() if name.startswith("msgstr")]
        if not all(forms):
            return
        original = parts["msgid"] + (f"\0{parts['msgid_plural']}" if "msgid_plural" in parts else "")
        context = f"{parts['msgctxt']}\4" if "msgctxt" in parts else ""
        catalogue[context + original] = "\0".join(forms)

    for number, line in enumerate([*po.read_text("utf-8").splitlines(), 'msgid ""'], 1):
        text = line.strip()
        if not text or text.startswith("#~"):
            continue
        keyword, _space, literal = ("", "", text) if text.startswith('"') else text.partition(" ")
        if keyword in {"msgctxt", "msgid"} and any(name.startswith("msgstr") for name in parts):
            keep()
            parts, fuzzy = {}, False
        if text.startswith("#"):
            if any(name.startswith("msgstr") for name in parts):
                keep()
                parts, fuzzy = {}, False
            fuzzy = fuzzy or (text.startswith("#,") and "fuzzy" in text)
            continue
        current = keyword or current
        if not current or not literal.startswith('"'):
            raise CatalogueError(f"{po}:{number}: {line!r} is neither a comment, a keyword nor a string.")
        try:
            parts[current] = parts.get(current, "") + ast.literal_eval(literal)
        except (SyntaxError, ValueError) as error:
            raise CatalogueError(f"{po}:{number}: {literal} is not a string.") from error
    return catalogue


def compile_catalogue(catalogue: dict[str, str]) -> bytes:
    """The ``.mo`` bytes of a catalogue, the same for the same catalogue."""
    pairs = sorted((original.encode(), translation.encode()) for original, translation in catalogue.items())
    strings = b""
    tables: list[list[int]] = [[], []]
    start = _HEADER_SIZE + 16 * len(pairs)
    for column, table in enumerate(tables):
        for pair in pairs:
            table += [len(pair[column]), start + len(strings)]
            strings += pair[column] + b"\0"
    header = struct.pack("<7I", _MAGIC, 0, len(pairs), _HEADER_SIZE, _HEADER_SIZE + 8 * len(pairs), 0, start)
    return header + b"".join(struct.pack(f"<{len(table)}I", *table) for table in tables) + strings


def main() -> None:
    """Compile every catalogue below ``locale``."""
    for po in sorted(LOCALE.glob("*/LC_MESSAGES/*.po")):
        po.with_suffix(".mo").write_bytes(compile_catalogue(read(po)))


if __name__ == "__main__":
    main()
