-- How a log's keys change, how a log ends and how its successor begins. Runs as audit_owner, before the grants.

-- The largest tree that a key signs. A row of its own, because nothing in the log is ever updated.
CREATE TABLE audit.key_end (
    log_id integer NOT NULL,
    vkey text NOT NULL,
    to_size bigint NOT NULL CHECK (to_size > 0),
    event_id uuid NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (log_id, vkey),
    FOREIGN KEY (log_id, vkey) REFERENCES audit.key
);

-- opened: event_id is the log's first entry. closed: its last. lost: the first of the successor, which states the loss.
-- detached: the entries' bytes left the live tables; it is the entry that says so, in the log that was current then.
CREATE TABLE audit.log_state (
    log_id integer NOT NULL REFERENCES audit.log,
    kind text NOT NULL CHECK (kind IN ('opened', 'closed', 'lost', 'detached')),
    event_id uuid NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (log_id, kind)
);

SELECT audit.make_append_only(format('audit.%I', name)::regclass) FROM unnest(ARRAY['key_end', 'log_state']) AS name;

-- ATTACH, because CREATE ... PARTITION OF would lock all writers out until the longest of them has ended.
CREATE FUNCTION audit.add_log(number integer, name text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
BEGIN
    IF number IS DISTINCT FROM (SELECT max(log_id) + 1 FROM audit.log) THEN
        RAISE EXCEPTION 'log % does not follow the newest log', number USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    EXECUTE format('CREATE TABLE audit.%I (LIKE audit.entry INCLUDING DEFAULTS INCLUDING CONSTRAINTS'
                   ' INCLUDING GENERATED INCLUDING STORAGE)', 'entry_' || number);
    EXECUTE format('ALTER TABLE audit.entry ATTACH PARTITION audit.%I FOR VALUES IN (%s)', 'entry_' || number, number);
    PERFORM audit.make_append_only(format('audit.%I', 'entry_' || number)::regclass);
    EXECUTE format('GRANT SELECT ON audit.%I TO countersign_app, audit_sequencer, audit_eraser, audit_reader',
                   'entry_' || number);
    INSERT INTO audit.log (log_id, origin) VALUES (number, name);
END $$;

CREATE FUNCTION audit.refuse_entry() RETURNS trigger LANGUAGE plpgsql SET search_path = '' AS $$
BEGIN
    RAISE EXCEPTION 'log % is closed: repeat the transaction, it will write to the successor', NEW.log_id
        USING ERRCODE = 'serialization_failure';
END $$;

-- The lock waits for every transaction that writes to this log, and whoever comes after it meets the trigger; writers
-- that see the successor do not touch this partition and never wait.
CREATE FUNCTION audit.end_writing(number integer) RETURNS void LANGUAGE plpgsql SET search_path = '' AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM audit.log WHERE log_id = number + 1) THEN
        RAISE EXCEPTION 'log % has no successor', number USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    EXECUTE format('CREATE TRIGGER log_closed BEFORE INSERT ON audit.%I FOR EACH ROW'
                   ' EXECUTE FUNCTION audit.refuse_entry()', 'entry_' || number);
END $$;

-- The closing entry has the highest id of its log, so it becomes the last leaf.
CREATE FUNCTION audit.close_log(number integer, closing_id uuid, closing bytea) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
BEGIN
    EXECUTE format('LOCK TABLE audit.%I IN SHARE ROW EXCLUSIVE MODE', 'entry_' || number);
    INSERT INTO audit.entry (log_id, event_id, object_key, entry) VALUES (number, closing_id, 'log/' || number, closing);
    PERFORM audit.end_writing(number);
    INSERT INTO audit.log_state (log_id, kind, event_id) VALUES (number, 'closed', closing_id);
END $$;

GRANT INSERT (log_id, vkey, from_size, event_id) ON audit.key TO audit_sequencer;
GRANT INSERT (log_id, vkey, to_size, event_id) ON audit.key_end TO audit_sequencer;
GRANT EXECUTE ON FUNCTION audit.add_log, audit.close_log TO audit_sequencer;
