"""The reconciler: what runs and what MLflow says, compared with what is on record here.

``snapshots`` (frozen facts) and ``comparison`` are pure; ``recording`` and ``observing`` collect the two sides, ``run``
does one look, and ``registry.findings`` keeps what it found.
"""
