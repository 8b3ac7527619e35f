-- The tables of the log. Runs as audit_owner; everything here belongs to it.

CREATE TABLE audit.log (
    log_id integer PRIMARY KEY CHECK (log_id > 0),
    tenant_id uuid,
    origin text NOT NULL UNIQUE CHECK (origin !~ '[\s+]' AND length(origin) BETWEEN 1 AND 255),
    created_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- Public keys that may sign checkpoints of the log, from a tree size on.
CREATE TABLE audit.key (
    log_id integer NOT NULL REFERENCES audit.log,
    vkey text NOT NULL,
    from_size bigint NOT NULL CHECK (from_size >= 0),
    event_id uuid NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (log_id, vkey)
);

-- No foreign key to audit.log: each insert would lock that one row, and entries may arrive before the log is opened.
CREATE TABLE audit.entry (
    id bigint GENERATED ALWAYS AS IDENTITY,
    log_id integer NOT NULL,
    event_id uuid NOT NULL,
    object_key text NOT NULL CHECK (length(object_key) BETWEEN 1 AND 400),
    entry bytea NOT NULL CHECK (octet_length(entry) BETWEEN 2 AND 65535) CHECK (json_typeof(convert_from(entry, 'UTF8')::json) = 'object'),
    leaf_hash bytea GENERATED ALWAYS AS (sha256('\x00'::bytea || entry)) STORED,
    txid xid8 NOT NULL DEFAULT pg_current_xact_id(),
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (log_id, id),
    UNIQUE (log_id, event_id)
) PARTITION BY LIST (log_id);
CREATE INDEX entry_txid ON audit.entry (txid);

-- No foreign key to audit.entry: check_leaves compares each hash with its entry, and a detached log keeps its leaves.
CREATE TABLE audit.leaf (
    log_id integer NOT NULL REFERENCES audit.log,
    leaf_index bigint NOT NULL CHECK (leaf_index >= 0),
    entry_id bigint NOT NULL,
    leaf_hash bytea NOT NULL CHECK (octet_length(leaf_hash) = 32),
    PRIMARY KEY (log_id, leaf_index),
    UNIQUE (log_id, entry_id)
);

-- Full tiles only (C2SP tlog-tiles): never updated. A partial tile is the newest leaves, or the roots below it.
CREATE TABLE audit.tile (
    log_id integer NOT NULL REFERENCES audit.log,
    level smallint NOT NULL CHECK (level BETWEEN 0 AND 5),
    idx bigint NOT NULL CHECK (idx >= 0),
    hashes bytea NOT NULL CHECK (octet_length(hashes) = 8192),
    root bytea NOT NULL CHECK (octet_length(root) = 32),
    PRIMARY KEY (log_id, level, idx)
);

-- watermark: every entry of an older transaction is in the tree; lets readers find the pending ones by index.
CREATE TABLE audit.checkpoint (
    log_id integer NOT NULL REFERENCES audit.log,
    size bigint NOT NULL CHECK (size > 0),
    root bytea NOT NULL CHECK (octet_length(root) = 32),
    note text NOT NULL,
    watermark xid8 NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (log_id, size)
);

CREATE TABLE audit.cosignature (
    log_id integer NOT NULL,
    size bigint NOT NULL,
    key_name text NOT NULL,
    key_id bytea NOT NULL CHECK (octet_length(key_id) = 4),
    signed_at timestamptz NOT NULL,
    line text NOT NULL,
    PRIMARY KEY (log_id, size, key_name, key_id, signed_at),
    FOREIGN KEY (log_id, size) REFERENCES audit.checkpoint
);
-- A log that does not grow is cosigned again every hour: the newest time is what shows that nobody froze it.
CREATE INDEX cosignature_by_witness ON audit.cosignature (log_id, key_name, key_id, size, signed_at);

CREATE TABLE audit.anchor (
    log_id integer NOT NULL,
    size bigint NOT NULL,
    kind text NOT NULL,
    token bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (log_id, size, kind),
    FOREIGN KEY (log_id, size) REFERENCES audit.checkpoint
);

-- How it went with each place outside that checkpoints go to: a row whenever the state or its sentence changes.
CREATE TABLE audit.publication (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    log_id integer NOT NULL,
    kind text NOT NULL CHECK (kind IN ('witness', 'rfc3161', 'folder', 'git', 'webhook')),
    target text NOT NULL,
    state text NOT NULL CHECK (state IN ('working', 'unreachable', 'refused', 'invalid', 'conflict')),
    sentence text NOT NULL DEFAULT '',
    size bigint NOT NULL CHECK (size >= 0),
    at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX publication_newest ON audit.publication (log_id, kind, target, id DESC);

-- Incidents, each step with its entry in the log; and which channel has told whom, so that nobody is told twice.
CREATE TABLE audit.alert (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event_id uuid NOT NULL UNIQUE,
    subject text NOT NULL CHECK (length(subject) BETWEEN 1 AND 300),
    state text NOT NULL CHECK (state IN ('raised', 'resolved')),
    sentence text NOT NULL,
    at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX alert_newest ON audit.alert (subject, id DESC);
CREATE TABLE audit.notice (
    alert_id bigint NOT NULL REFERENCES audit.alert,
    channel text NOT NULL CHECK (channel IN ('mail', 'webhook')),
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (alert_id, channel)
);

-- Names and free text, the only erasable table: an entry holds SHA-256(salt || value). The body is the value sealed with
-- AES-256-GCM under the key key_id of its subject, which lies in another database.
CREATE TABLE audit.payload (
    log_id integer NOT NULL,
    event_id uuid NOT NULL,
    field text NOT NULL CHECK (length(field) BETWEEN 1 AND 100),
    subject text NOT NULL,
    salt bytea NOT NULL CHECK (octet_length(salt) = 32),
    key_id uuid NOT NULL,
    body bytea NOT NULL CHECK (octet_length(body) >= 28),
    PRIMARY KEY (log_id, event_id, field)
);
CREATE INDEX payload_subject ON audit.payload (subject, log_id);

-- Why a committed value is gone: the entry «subject.erased» that took it away.
CREATE TABLE audit.erased (
    log_id integer NOT NULL,
    event_id uuid NOT NULL,
    field text NOT NULL,
    erasure_id uuid NOT NULL,
    PRIMARY KEY (log_id, event_id, field)
);
CREATE INDEX erased_by ON audit.erased (erasure_id);

-- Keys under which nothing may be sealed any more: each is destroyed in its own database after this is committed.
CREATE TABLE audit.erased_key (
    key_id uuid PRIMARY KEY,
    subject text NOT NULL,
    erasure_id uuid NOT NULL
);
CREATE INDEX erased_key_subject ON audit.erased_key (subject);

-- Read model, filled by the sequencer from the entry's bytes; can be rebuilt from them at will. Every filter of the Log
-- page has an index that ends with leaf_index: a page is a few steps in one of them, however long the log is. Collation
-- "C": the search walks (value, leaf_index) as a range and finds names by their beginning in the same index.
CREATE TABLE audit.event (
    log_id integer NOT NULL,
    leaf_index bigint NOT NULL,
    event_id uuid NOT NULL,
    event text COLLATE "C" NOT NULL,
    actor_id text COLLATE "C" NOT NULL,
    subject text COLLATE "C" NOT NULL,
    object_key text COLLATE "C" NOT NULL,
    model text COLLATE "C" NOT NULL,
    environment text COLLATE "C" NOT NULL,
    request_id text COLLATE "C" NOT NULL,
    occurred_at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL,
    PRIMARY KEY (log_id, leaf_index),
    UNIQUE (log_id, event_id),
    FOREIGN KEY (log_id, leaf_index) REFERENCES audit.leaf
);
CREATE INDEX event_by_subject ON audit.event (log_id, subject, leaf_index);
CREATE INDEX event_by_object ON audit.event (log_id, object_key, leaf_index);
CREATE INDEX event_by_actor ON audit.event (log_id, actor_id, leaf_index);
CREATE INDEX event_by_event ON audit.event (log_id, event, leaf_index);
CREATE INDEX event_by_model ON audit.event (log_id, model, leaf_index) WHERE model <> '';
CREATE INDEX event_by_environment ON audit.event (log_id, environment, leaf_index) WHERE environment <> '';
CREATE INDEX event_by_request ON audit.event (log_id, request_id, leaf_index) WHERE request_id <> '';
CREATE INDEX event_by_time ON audit.event (log_id, recorded_at, leaf_index);

-- What the last verifications found, and why the sequencer stopped if it did.
CREATE TABLE audit.self_check (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    log_id integer NOT NULL,
    source text NOT NULL CHECK (source IN ('self-check', 'sequencer', 'operator')),
    outcome text NOT NULL CHECK (outcome IN ('verified', 'failed', 'unknown')),
    size bigint NOT NULL CHECK (size >= 0),
    root text NOT NULL DEFAULT '',
    finding text NOT NULL DEFAULT '',
    steps jsonb NOT NULL DEFAULT '[]',
    started_at timestamptz NOT NULL,
    finished_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX self_check_newest ON audit.self_check (log_id, id DESC);
