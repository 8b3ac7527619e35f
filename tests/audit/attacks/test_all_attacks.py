"""The list of attacks (A1 to A27) is whole: each has a file here that says what the attack is."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent
ATTACKS = range(1, 28)


@pytest.mark.parametrize("number", ATTACKS)
def test_each_attack_has_a_file_that_names_it_and_tries_it(number: int) -> None:
    found = sorted(FOLDER.glob(f"test_a{number:02}_*.py"))
    assert len(found) == 1, f"A{number}: {found}"
    tree = ast.parse(found[0].read_text())
    assert re.match(rf"A{number}: .{{10,}}", ast.get_docstring(tree) or ""), f"{found[0].name} does not name A{number}"
    tests = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")]
    assert tests, f"{found[0].name} tries nothing"


def test_no_file_is_of_an_attack_that_is_not_on_the_list() -> None:
    numbers = {int(path.name[6:8]) for path in FOLDER.glob("test_a[0-9][0-9]_*.py")}
    assert numbers == set(ATTACKS)
