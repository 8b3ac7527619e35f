-- What the database refuses whoever asks. Runs as audit_owner.

CREATE FUNCTION audit.refuse_change() RETURNS trigger LANGUAGE plpgsql SET search_path = '' AS $$
BEGIN
    RAISE EXCEPTION 'the audit log is append-only: % on %.% refused', TG_OP, TG_TABLE_SCHEMA, TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation';
END $$;

-- TRUNCATE triggers are not inherited by partitions, so each table gets its own.
CREATE FUNCTION audit.make_append_only(target regclass) RETURNS void LANGUAGE plpgsql SET search_path = '' AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_trigger WHERE tgrelid = target AND tgname = 'append_only_rows') THEN
        EXECUTE format('CREATE TRIGGER append_only_rows BEFORE UPDATE OR DELETE ON %s
                        FOR EACH ROW EXECUTE FUNCTION audit.refuse_change()', target);
    END IF;
    EXECUTE format('CREATE TRIGGER append_only_truncate BEFORE TRUNCATE ON %s
                    FOR EACH STATEMENT EXECUTE FUNCTION audit.refuse_change()', target);
END $$;

CREATE FUNCTION audit.create_partition(number integer) RETURNS void LANGUAGE plpgsql SET search_path = '' AS $$
BEGIN
    EXECUTE format('CREATE TABLE audit.%I PARTITION OF audit.entry FOR VALUES IN (%s)', 'entry_' || number, number);
    PERFORM audit.make_append_only(format('audit.%I', 'entry_' || number)::regclass);
END $$;

SELECT audit.make_append_only(format('audit.%I', name)::regclass)
FROM unnest(ARRAY['log', 'key', 'entry', 'leaf', 'tile', 'checkpoint', 'cosignature', 'anchor', 'payload', 'self_check'])
    AS name;
SELECT audit.make_append_only(format('audit.%I', name)::regclass)
FROM unnest(ARRAY['publication', 'alert', 'notice']) AS name;
SELECT audit.create_partition(1);

-- Who seals a value holds its subject until COMMIT, shared with other writers; who erases waits for them and shuts them
-- out. A function, because each of its statements sees what was committed while the lock was waited for.
CREATE FUNCTION audit.hold_keys(people text[], keys uuid[]) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_catalog.pg_advisory_xact_lock_shared(pg_catalog.hashtextextended(person, 0))
    FROM pg_catalog.unnest(people) AS person;
    RETURN NOT EXISTS (SELECT FROM audit.erased_key WHERE key_id = ANY (keys));
END $$;

-- A private value goes only after its tombstone has come, and a tombstone comes only with its erasure's entry.
CREATE FUNCTION audit.refuse_unless_erased() RETURNS trigger LANGUAGE plpgsql SET search_path = '' AS $$
BEGIN
    IF TG_OP = 'DELETE' AND EXISTS (SELECT FROM audit.erased
                                    WHERE (log_id, event_id, field) = (OLD.log_id, OLD.event_id, OLD.field)) THEN
        RETURN OLD;
    END IF;
    RAISE EXCEPTION 'the audit log is append-only: % on %.% refused', TG_OP, TG_TABLE_SCHEMA, TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation', HINT = 'Private values are erased by audit.erase_subject().';
END $$;
DROP TRIGGER append_only_rows ON audit.payload;
CREATE TRIGGER append_only_rows BEFORE UPDATE OR DELETE ON audit.payload
    FOR EACH ROW EXECUTE FUNCTION audit.refuse_unless_erased();
SELECT audit.make_append_only('audit.erased'), audit.make_append_only('audit.erased_key');

CREATE FUNCTION audit.require_erasure() RETURNS trigger LANGUAGE plpgsql SET search_path = '' AS $$
BEGIN
    IF EXISTS (SELECT FROM added WHERE NOT EXISTS (
            SELECT FROM audit.entry e WHERE e.event_id = added.erasure_id AND e.txid = pg_catalog.pg_current_xact_id()
            AND pg_catalog.convert_from(e.entry, 'UTF8')::jsonb ->> 'event' = 'subject.erased')) THEN
        RAISE EXCEPTION 'nothing is erased without an entry «subject.erased» of the same transaction'
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER erasure_has_entry AFTER INSERT ON audit.erased REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION audit.require_erasure();
CREATE TRIGGER erasure_has_entry AFTER INSERT ON audit.erased_key REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION audit.require_erasure();

-- Erases a subject's private values in every log, and those named in addition (event_id and field in pairs). The entry
-- number/erasure of this transaction must say how many, and which: the digest of their sorted list. Returns how many.
CREATE FUNCTION audit.erase_subject(
    number integer, person text, erasure uuid, keys uuid[], more_events uuid[], more_fields text[]
) RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
DECLARE
    told jsonb;
    n bigint;
    listed text;
BEGIN
    PERFORM pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended(person, 0));
    SELECT pg_catalog.convert_from(entry, 'UTF8')::jsonb INTO told FROM audit.entry
    WHERE log_id = number AND event_id = erasure AND txid = pg_catalog.pg_current_xact_id();
    IF told ->> 'event' IS DISTINCT FROM 'subject.erased' OR told ->> 'subject' IS DISTINCT FROM person THEN
        RAISE EXCEPTION 'nothing of % is erased without its entry «subject.erased» of the same transaction', person
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    INSERT INTO audit.erased (log_id, event_id, field, erasure_id)
    SELECT p.log_id, p.event_id, p.field, erasure FROM audit.payload p
    WHERE p.subject = person OR (p.event_id, p.field) IN (
        SELECT e, f FROM ROWS FROM (pg_catalog.unnest(more_events), pg_catalog.unnest(more_fields)) AS named (e, f))
    ON CONFLICT DO NOTHING;
    SELECT count(*), pg_catalog.string_agg(pg_catalog.concat_ws(' ', log_id, event_id, field), E'\n'
                                           ORDER BY log_id, event_id, field COLLATE "C")
    INTO n, listed FROM audit.erased WHERE erasure_id = erasure;
    IF n IS DISTINCT FROM (told #>> '{facts,values}')::bigint
       OR pg_catalog.encode(pg_catalog.sha256(pg_catalog.convert_to(coalesce(listed, ''), 'UTF8')), 'hex')
          IS DISTINCT FROM told #>> '{facts,digest}'
       OR pg_catalog.to_jsonb(keys) IS DISTINCT FROM told #> '{facts,keys}' THEN
        RAISE EXCEPTION 'the entry does not name the % values and the keys of % that would be erased', n, person
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    INSERT INTO audit.erased_key (key_id, subject, erasure_id)
    SELECT key_id, person, erasure FROM pg_catalog.unnest(keys) AS key_id ON CONFLICT DO NOTHING;
    DELETE FROM audit.payload p USING audit.erased e
    WHERE (p.log_id, p.event_id, p.field) = (e.log_id, e.event_id, e.field)
    AND (e.erasure_id = erasure OR p.subject = person);
    RETURN n;
END $$;

-- Indexes without a gap, and the hash of the very entry.
CREATE FUNCTION audit.check_leaves() RETURNS trigger LANGUAGE plpgsql SET search_path = '' AS $$
DECLARE
    batch record;
    expected bigint;
BEGIN
    FOR batch IN SELECT log_id, min(leaf_index) AS low, max(leaf_index) AS high, count(*) AS n FROM added GROUP BY log_id
    LOOP
        SELECT coalesce(max(leaf_index) + 1, 0) INTO expected FROM audit.leaf
        WHERE log_id = batch.log_id AND leaf_index < batch.low;
        IF batch.low IS DISTINCT FROM expected OR batch.high - batch.low + 1 IS DISTINCT FROM batch.n THEN
            RAISE EXCEPTION 'leaves % to % (%) do not follow leaf %', batch.low, batch.high, batch.n, expected - 1
                USING ERRCODE = 'integrity_constraint_violation';
        END IF;
    END LOOP;
    IF EXISTS (SELECT FROM added LEFT JOIN audit.entry e ON e.log_id = added.log_id AND e.id = added.entry_id
               WHERE e.leaf_hash IS DISTINCT FROM added.leaf_hash) THEN
        RAISE EXCEPTION 'a leaf hash differs from its entry' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER leaves_in_order AFTER INSERT ON audit.leaf REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION audit.check_leaves();

-- IS DISTINCT FROM: with <> a checkpoint got into an empty tree, because NULL is not true.
CREATE FUNCTION audit.check_checkpoint() RETURNS trigger LANGUAGE plpgsql SET search_path = '' AS $$
DECLARE
    leaves bigint;
    newest bigint;
BEGIN
    SELECT coalesce(max(leaf_index) + 1, 0) INTO leaves FROM audit.leaf WHERE log_id = NEW.log_id;
    SELECT coalesce(max(size), 0) INTO newest FROM audit.checkpoint WHERE log_id = NEW.log_id;
    IF NEW.size IS DISTINCT FROM leaves THEN
        RAISE EXCEPTION 'a checkpoint of size % does not fit a tree of % leaves', NEW.size, leaves
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF NEW.size <= newest THEN
        RAISE EXCEPTION 'a checkpoint must grow: % after %', NEW.size, newest
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER checkpoint_grows BEFORE INSERT ON audit.checkpoint
    FOR EACH ROW EXECUTE FUNCTION audit.check_checkpoint();

-- Completeness, at COMMIT: a governed row that changed needs an entry of the same transaction. created_at is compared
-- because after a restore into a younger cluster an old transaction number could come again.
CREATE FUNCTION audit.require_entry() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
DECLARE
    wanted text;
BEGIN
    IF TG_OP = 'DELETE' THEN
        wanted := TG_TABLE_NAME || '/' || OLD.id;
    ELSE
        wanted := TG_TABLE_NAME || '/' || NEW.id;
    END IF;
    IF NOT EXISTS (SELECT FROM audit.entry WHERE txid = pg_catalog.pg_current_xact_id() AND object_key = wanted
                   AND created_at >= pg_catalog.transaction_timestamp()) THEN
        RAISE EXCEPTION '% of % without an entry in the audit log', TG_OP, wanted
            USING ERRCODE = 'integrity_constraint_violation',
                  HINT = 'Change governed rows through the functions that call audit.log.append().';
    END IF;
    IF TG_OP = 'UPDATE' AND OLD.id IS DISTINCT FROM NEW.id THEN
        RAISE EXCEPTION 'the id of a governed row cannot change: %', wanted
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION audit.refuse_truncate() RETURNS trigger LANGUAGE plpgsql SET search_path = '' AS $$
BEGIN
    RAISE EXCEPTION 'TRUNCATE of the governed table % refused', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
END $$;

-- The sequencer's only way to write an entry: the two that open a log, once.
CREATE FUNCTION audit.open_log(
    number integer, name text, opened_id uuid, opened bytea, announced_id uuid, announced bytea, vkeys text[]
) RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
BEGIN
    IF EXISTS (SELECT FROM audit.key WHERE log_id = number) THEN
        RAISE EXCEPTION 'log % is open already', number USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    INSERT INTO audit.log (log_id, origin) VALUES (number, name) ON CONFLICT (log_id) DO NOTHING;
    INSERT INTO audit.entry (log_id, event_id, object_key, entry) VALUES
        (number, opened_id, 'log/' || number, opened), (number, announced_id, 'log/' || number, announced);
    INSERT INTO audit.log_state (log_id, kind, event_id) VALUES (number, 'opened', opened_id);
    INSERT INTO audit.key (log_id, vkey, from_size, event_id)
        SELECT number, vkey, 0, announced_id FROM unnest(vkeys) AS vkey;
END $$;
