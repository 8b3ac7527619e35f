"""What a model's ``requirements.txt`` says, line by line."""

from __future__ import annotations

import pytest

from registry.sources import artifacts


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        (b"", []),
        (b"# all\nmlflow==3.17.2  # pinned\n\nnumpy>=2\n", ["mlflow==3.17.2", "numpy>=2"]),
        (b"a==1 \\\n    --hash=sha256:00\n", ["a==1      --hash=sha256:00"]),
    ],
)
def test_lines_of_requirements(text: bytes, lines: list[str]) -> None:
    assert artifacts.lines_of(text) == lines
