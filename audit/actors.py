"""Who did it: a value that is copied into the record, so that it survives the person's account."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Actor:
    """A named person, service account or process.

    ``id`` is pseudonymous and never reused: ``user:<uuid>``, ``service:<uuid>`` or ``system:<process>``. ``name``
    is personal data: the log stores only a salted commitment to it (GDPR article 17). ``roles`` are those held then.
    """

    id: str
    name: str
    roles: frozenset[str] = field(default_factory=frozenset)

    @classmethod
    def system(cls, process: str) -> Actor:
        """The actor for work that no person started, for example ``Actor.system("mlflow-import")``."""
        return cls(id=f"system:{process}", name=process)

    @property
    def kind(self) -> str:
        """``user``, ``service`` or ``system``."""
        return self.id.partition(":")[0]
