-- The database of the subjects' keys: apart from the log, with short backups, so that erasing a key reaches every copy
-- of the log. Safe to repeat; runs as the role that owns this database's tables, which serves no request.

CREATE TABLE IF NOT EXISTS public.subject_key (
    key_id uuid PRIMARY KEY,
    subject text NOT NULL CHECK (length(subject) BETWEEN 1 AND 400),
    key bytea CHECK (octet_length(key) = 32),
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    erased_at timestamptz,
    CHECK ((key IS NULL) = (erased_at IS NOT NULL))
);
CREATE UNIQUE INDEX IF NOT EXISTS subject_key_in_use ON public.subject_key (subject) WHERE erased_at IS NULL;
-- The row's old version still holds the key: clear it away at the next round instead of after many erasures.
ALTER TABLE public.subject_key SET (autovacuum_vacuum_threshold = 0, autovacuum_vacuum_scale_factor = 0);

CREATE OR REPLACE FUNCTION public.refuse_other_keys() RETURNS trigger LANGUAGE plpgsql SET search_path = '' AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND (NEW.key_id, NEW.subject, NEW.created_at) = (OLD.key_id, OLD.subject, OLD.created_at)
       AND OLD.erased_at IS NULL AND NEW.key IS NULL THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'a key of a subject is destroyed or stays as it is: % refused', TG_OP
        USING ERRCODE = 'restrict_violation';
END $$;
CREATE OR REPLACE TRIGGER keys_stay BEFORE UPDATE OR DELETE ON public.subject_key
    FOR EACH ROW EXECUTE FUNCTION public.refuse_other_keys();

REVOKE ALL ON public.subject_key FROM PUBLIC;
REVOKE ALL ON FUNCTION public.refuse_other_keys FROM PUBLIC;
GRANT USAGE ON SCHEMA public TO countersign_keys;
GRANT SELECT, INSERT (key_id, subject, key), UPDATE (key, erased_at) ON public.subject_key TO countersign_keys;
