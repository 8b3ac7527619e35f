"""Several columns read as one feature: the dummies of a category, the parts of an address, the months of a series."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from explain.methods.codes import Floats
from explain.methods.refused import CannotSay


@dataclass(frozen=True, slots=True)
class Grouping:
    """Features made of columns. ``names``: the features; ``members``: positions of the columns of each of them.

    The contribution of a group is the sum of those of its columns. That keeps additivity, and it is not the same as
    letting the group enter as one player: interactions between the columns and the rest are shared column by column.
    """

    names: tuple[str, ...]
    members: tuple[tuple[int, ...], ...]

    def contributions(self, phi: Floats) -> Floats:
        """Sums over the columns of each feature: (..., columns) to (..., features)."""
        return np.stack([phi[..., list(each)].sum(axis=-1) for each in self.members], axis=-1)

    def errors(self, se: Floats, *, additive: bool = True) -> Floats:
        """Upper bounds of the standard errors of ``contributions``: (..., columns) to (..., features).

        The estimates of one row come from the same walks, so that they are correlated and the root of the sum of
        squares would be wrong. Two bounds hold whatever the correlation: a sum's error is at most the sum of the
        errors (Minkowski); and, because all contributions of an additive method sum exactly to f(x) - base, the error
        of the group is that of everything outside it, with the same bound. The smaller one is given. ``additive``
        is False for LIME, for which only the first holds.
        """
        inside = np.stack([se[..., list(each)].sum(axis=-1) for each in self.members], axis=-1)
        if not additive:
            return inside
        outside = np.maximum(se.sum(axis=-1, keepdims=True) - inside, 0.0)
        alone = np.array([len(each) == 1 for each in self.members])
        return np.where(alone, inside, np.minimum(inside, outside))


def grouping(columns: Sequence[str], groups: Mapping[str, Sequence[str]]) -> Grouping:
    """The features of ``columns`` when each of ``groups`` (name -> its columns) is one; the rest stay single.

    A group stands where its first column stood.

    Raises:
        CannotSay: a group without a name or columns (``group.empty``), with a column that does not exist
            (``group.column_unknown``), that is in two groups or twice in one (``group.column_twice``), or with the
            name of a column outside the group (``group.name_taken``).
    """
    place = {name: j for j, name in enumerate(columns)}
    owner: dict[str, str] = {}
    for group, members in groups.items():
        if not group or not members:
            raise CannotSay("group.empty", group=group)
        for column in members:
            if column not in place:
                raise CannotSay("group.column_unknown", group=group, column=column)
            if column in owner:
                raise CannotSay("group.column_twice", group=group, column=column)
            owner[column] = group
    for group in groups:
        if group in place and owner.get(group) != group:
            raise CannotSay("group.name_taken", group=group)
    members_of: dict[tuple[bool, str], list[int]] = {}
    for j, column in enumerate(columns):
        members_of.setdefault((column in owner, owner.get(column, column)), []).append(j)
    return Grouping(tuple(name for _, name in members_of), tuple(tuple(each) for each in members_of.values()))
