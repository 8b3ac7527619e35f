"""A back-test over 10,000 stored decisions against 10,000 bare evaluations of the same facts with the same packs.

The back-test reads each decision from the database, checks the digest of its facts, decides with signatures and
compares; a bare evaluation is ``policies.evaluate`` on facts that are in memory and checked already. One process does
both: half of the bare ones, the back-test, the other half. The decisions are copies of twenty real ones with 25 data
sets each, made behind the triggers by SQL.
``BACKTEST_DECISIONS`` makes it smaller.
"""

from __future__ import annotations

import os
import time

from tests.benchmarks._server import migrated_server  # isort: skip  (it prepares Django)

from django.db.models import Max

from governance import backtests, gate, packs, policies
from governance.models.decision import Decision
from governance.models.policy import PolicyPack
from governance.policies.backtest import with_draft
from registry import datasets, versions
from registry.lineage import edges
from tests.governance import scene
from tests.governance.scene import Bank

GOAL = 1.3
DECISIONS = int(os.environ.get("BACKTEST_DECISIONS", "10000"))
VERSIONS, DATA_SETS = 20, 25
_COPY = """
    SET session_replication_role = replica;
    INSERT INTO governance_decision ({columns}) SELECT {values}
    FROM governance_decision d, generate_series(1, {times}) n;
"""


def main() -> None:
    """The sums of both."""
    with migrated_server() as bench:
        bank = scene.build()
        _decide(bank)
        columns = [field.column for field in Decision._meta.concrete_fields if field.column != "id"]
        values = ["md5(random()::text || n)" if each == "public_id" else f"d.{each}" for each in columns]
        times = DECISIONS // Decision.objects.count() - 1
        bench.execute(_COPY.format(columns=", ".join(columns), values=", ".join(values), times=times))
        text = policies.shipped_packs()["uae-pdpl"].replace("version: 1\n", "version: 2\n")
        draft = policies.compile_pack(packs.draft(text, by=scene.actor("omar")).text)
        active = with_draft(
            [policies.compile_pack(row.text) for row in PolicyPack.objects.filter(state="active")], draft
        )
        through = Decision.objects.aggregate(newest=Max("pk"))["newest"] or 0
        documents = list(Decision.objects.order_by("pk").values_list("facts", flat=True))
        half = len(documents) // 2
        bare = _bare(active, documents[:half])
        begin = time.perf_counter()
        result = backtests.run(draft, through=through, progress=lambda _done, _total: None)
        tested = time.perf_counter() - begin
        bare += _bare(active, documents[half:])
        assert result["left_out"]["count"] == 0, result["left_out"]
        assert result["decisions"]["looked_at"] == len(documents)
    print(f"{len(documents)} decisions, {DATA_SETS} data sets each: back-test {tested:.1f} s, bare {bare:.1f} s")
    print(f"backtest ratio={tested / bare:.2f} goal={GOAL:g}")


def _bare(active: tuple[policies.CompiledPack, ...], documents: list[dict[str, object]]) -> float:
    facts = [policies.thaw(document) for document in documents]
    begin = time.perf_counter()
    for each in facts:
        policies.evaluate(active, each)
    return time.perf_counter() - begin


def _decide(bank: Bank) -> None:
    """One decision for each of twenty versions, each of which learned from 25 data sets."""
    names = [f"data-{number}" for number in range(DATA_SETS)]
    sets = [
        datasets.register_dataset(
            name,
            classification="personal",
            subjects=["AE"],
            regions_held=["azure:uaenorth"],
            confirmed=True,
            by=scene.SET_UP,
        )
        for name in names
    ]
    for number in range(100, 100 + VERSIONS):
        version = versions.register_version(
            bank.model, digest=scene.digest_of(str(number)), trained_by=["yusuf"], number=number, by=scene.SET_UP
        )
        for each in sets:
            edges.record_edge(each, version, by=scene.SET_UP)
        gate.check(version, bank.uae, by=scene.actor("ci"))


if __name__ == "__main__":
    main()
