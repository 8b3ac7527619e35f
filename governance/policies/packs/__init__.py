"""The packs that come with the product: drafts to read, adapt and activate, never active by themselves."""

from __future__ import annotations

from importlib import resources


def shipped_packs() -> dict[str, str]:
    """Pack id -> YAML text."""
    folder = resources.files(__name__)
    return {
        entry.name.removesuffix(".yaml"): entry.read_text(encoding="utf-8")
        for entry in sorted(folder.iterdir(), key=lambda entry: entry.name)
        if entry.name.endswith(".yaml")
    }
