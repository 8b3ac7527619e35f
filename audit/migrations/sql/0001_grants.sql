-- Exactly the privileges of each role. Runs as audit_owner.

REVOKE ALL ON SCHEMA audit FROM PUBLIC;
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA audit FROM PUBLIC;
GRANT USAGE ON SCHEMA audit TO countersign_app, audit_sequencer, audit_eraser, audit_reader;
GRANT SELECT ON ALL TABLES IN SCHEMA audit TO countersign_app, audit_sequencer, audit_eraser, audit_reader;

GRANT INSERT (log_id, event_id, object_key, entry) ON audit.entry TO countersign_app, audit_eraser;
GRANT INSERT (log_id, event_id, field, subject, salt, key_id, body) ON audit.payload TO countersign_app, audit_eraser;
GRANT EXECUTE ON FUNCTION audit.hold_keys TO countersign_app, audit_eraser;
GRANT EXECUTE ON FUNCTION audit.erase_subject TO audit_eraser;
GRANT INSERT (log_id, source, outcome, size, root, finding, steps, started_at) ON audit.self_check
    TO countersign_app, audit_sequencer;

GRANT INSERT (log_id, leaf_index, entry_id, leaf_hash) ON audit.leaf TO audit_sequencer;
GRANT INSERT (log_id, level, idx, hashes, root) ON audit.tile TO audit_sequencer;
GRANT INSERT (log_id, size, root, note, watermark) ON audit.checkpoint TO audit_sequencer;
GRANT INSERT ON audit.cosignature TO audit_sequencer;
GRANT INSERT (log_id, size, kind, token) ON audit.anchor TO audit_sequencer;
GRANT INSERT (log_id, kind, target, state, sentence, size) ON audit.publication TO audit_sequencer;
GRANT INSERT (event_id, subject, state, sentence) ON audit.alert TO countersign_app;
GRANT INSERT (alert_id, channel) ON audit.notice TO countersign_app;
GRANT INSERT ON audit.event TO audit_sequencer;
GRANT EXECUTE ON FUNCTION audit.open_log TO audit_sequencer;

-- The role that migrates puts governed tables under the completeness rule; it gets no more than that.
DO $$
DECLARE
    migrating text := current_setting('audit.migrating_role');
BEGIN
    EXECUTE format('GRANT USAGE ON SCHEMA audit TO %I', migrating);
    EXECUTE format('GRANT EXECUTE ON FUNCTION audit.require_entry, audit.refuse_truncate TO %I', migrating);
END $$;
