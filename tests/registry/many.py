"""A registry with thousands of rows, put there by SQL: rows that nobody recorded, for tests and benches of reading.

Whatever its size from 100 versions on, a page shows as many rows: half of the models are high risk, half of the data
sets personal and without a region, eight models serve in each place but the first, sixty deployments were blue-green.
"""

from __future__ import annotations

import psycopg

#: ``%(versions)s`` over ``%(models)s`` models; every version came from a run that read a data set, and served once.
_ROWS = """
INSERT INTO registry_environment (slug, name, tier, regions, perimeter, log_sinks, created)
    SELECT 'place-' || e, 'Place ' || e, 'prod', '{azure:uaenorth}', 'AE-federal', '{azure:uaenorth}', now()
    FROM generate_series(1, 12) e;
INSERT INTO registry_model (name, title, owner, purpose, risk, risk_reason, intended_use, limits, contacts, created)
    SELECT 'model-' || lpad(m::text, 5, '0'), 'Model ' || m, 'team-' || m %% 7, 'Scores.',
           (ARRAY['high', 'limited'])[m %% 2 + 1], 'Assessed.', '', '', '{}', now()
    FROM generate_series(1, %(models)s) m;
INSERT INTO registry_dataset (name, digest, classification, subjects, regions, source_uri, owner, perimeter,
                              lawful_basis, retention, provenance, confirmed_facts, confirmed, created)
    SELECT 'data-' || lpad(d::text, 5, '0'), to_hex(d), (ARRAY['personal', 'none'])[d %% 2 + 1], '{AE}',
           CASE WHEN d %% 2 = 0 THEN '{}'::varchar[] ELSE '{azure:uaenorth}' END, '', 'team-' || d %% 7, '', '', '',
           '', '{}', false, now()
    FROM generate_series(1, %(datasets)s) d;
INSERT INTO registry_run (run_id, tracking_server, name, contributors, params, metrics)
    SELECT 'run-' || v, 'https://mlflow.example', 'train ' || v, '["yusuf"]', '{"depth": "4"}', '{"auc": "0.8"}'
    FROM generate_series(1, %(versions)s) v;
INSERT INTO registry_modelversion (model_id, number, digest, run_id, tracking_server, trained_by, metrics, schema,
                                   source_uri, created)
    SELECT m.id, v / %(models)s + 1, 'sha256:' || lpad(to_hex(v), 64, '0'), 'run-' || v + 1, '', '["yusuf"]',
           '{"auc": "0.8"}', '{}', '', now()
    FROM generate_series(0, %(versions)s - 1) v
    JOIN registry_model m ON m.name = 'model-' || lpad((v %% %(models)s + 1)::text, 5, '0');
INSERT INTO registry_lineageedge (source, target, kind, created)
    SELECT 'dataset:data-' || lpad(((substr(v.run_id, 5)::int - 1) %% %(datasets)s + 1)::text, 5, '0'),
           'run:' || v.run_id, 'input', now() FROM registry_modelversion v
  UNION ALL
    SELECT 'run:' || v.run_id, 'version:' || m.name || '/' || v.number, 'output', now()
    FROM registry_modelversion v JOIN registry_model m ON m.id = v.model_id;
INSERT INTO registry_alias (model_id, name, version_id, moved)
    SELECT v.model_id, 'champion', v.id, now() FROM registry_modelversion v WHERE v.number = 1;
INSERT INTO registry_deployment (environment_id, model_id, version_id, kind, strategy, weight, digest, decision_id,
                                 permit_id, actor_id, since, until, reason, incident)
    SELECT e.id, v.model_id, v.id, 'deploy',
           CASE WHEN v.id <= 60 THEN 'blue_green' ELSE 'all_at_once' END, 100, v.digest, '', '', 'system:bench',
           timestamptz '2026-01-01' + v.id * interval '1 minute',
           CASE WHEN v.number = newest.number THEN NULL
                ELSE timestamptz '2026-01-01' + (v.id + 1) * interval '1 minute' END, '', ''
    FROM registry_modelversion v
    JOIN (SELECT model_id, max(number) AS number FROM registry_modelversion GROUP BY 1) newest USING (model_id)
    JOIN registry_environment e ON e.slug = 'place-' ||
        CASE WHEN v.number = newest.number AND v.model_id <= 96 THEN v.model_id %% 12 + 1 ELSE 1 END;
"""


def load(admin_url: str, *, versions: int, models: int, datasets: int) -> None:
    """Fill an empty registry, as the superuser and without triggers, and let PostgreSQL look at what it has."""
    with psycopg.connect(admin_url) as own:
        own.execute("SET session_replication_role = replica")
        for statement in _ROWS.split(";\n"):
            if statement.strip():
                own.execute(statement, {"versions": versions, "models": models, "datasets": datasets})  # type: ignore[arg-type]
    with psycopg.connect(admin_url, autocommit=True) as own:
        own.execute("VACUUM ANALYZE")
