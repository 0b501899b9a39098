-- The ledger of effects: one row for everything an agent does to the world.
--
-- `state` stands in no index, so claimed -> succeeded is a HOT update: no index is
-- touched. What a person must look at is indexed by `doubt_since` alone.

CREATE TABLE lg_production.effects (
  key           bytea PRIMARY KEY,          -- sha256 over tenant, tool, version and identity
  tenant        text NOT NULL,
  tool          text NOT NULL,
  tool_version  text NOT NULL,
  recovery      text NOT NULL CHECK (recovery IN
                  ('transactional', 'native_key', 'probe', 'surface', 'at_least_once')),
  state         text NOT NULL CHECK (state IN
                  ('claimed', 'succeeded', 'failed_final', 'failed_retryable', 'in_doubt',
                   'ready', 'compensating', 'compensated')),
  version       int NOT NULL DEFAULT 1,     -- counts every change: what a person saw
  attempt       int NOT NULL DEFAULT 1,
  fingerprint   bytea,                      -- sha256 of the identity arguments; null once released
  native_key    text NOT NULL,              -- what the provider is given
  owner         uuid,                       -- fences every settle
  worker        int,                        -- advisory lock of the owner's process; null: lease only
  lease_until   timestamptz,
  thread_id     text,
  tool_call_id  text,
  arguments     json,
  evidence      json,                       -- task, checkpoint, run: never part of the key
  outcome_type  text,
  outcome       bytea,
  error         text,
  paused_task   text,                       -- the task in which the tool itself interrupted,
  paused_slot   int,                        -- and where its answers begin
  asked_task    text,                       -- the task in which we asked about the doubt,
  asked_slot    int,                        -- as its n-th interrupt,
  asked_place   int,                        -- at this place among the questions asked together
  created_at    timestamptz NOT NULL DEFAULT now(),
  updated_at    timestamptz NOT NULL DEFAULT now(),
  expires_at    timestamptz,                -- end of an `arguments` window
  doubt_since   timestamptz
) WITH (fillfactor = 70);

CREATE INDEX effects_in_doubt ON lg_production.effects (doubt_since)
  WHERE doubt_since IS NOT NULL;
CREATE INDEX effects_by_thread ON lg_production.effects (thread_id, created_at);
CREATE INDEX effects_by_age ON lg_production.effects USING brin (created_at);

-- Whether the process that holds this worker's advisory lock has died. 27751 is 0x6C67.
CREATE FUNCTION lg_production.has_died(worker int) RETURNS boolean LANGUAGE sql VOLATILE AS $$
  SELECT worker IS NOT NULL AND NOT EXISTS (
    SELECT FROM pg_catalog.pg_locks l
    WHERE l.locktype = 'advisory' AND l.granted AND l.classid = 27751 AND l.objsubid = 2
      AND l.objid = worker::oid
      AND l.database = (SELECT d.oid FROM pg_catalog.pg_database d
                        WHERE d.datname = pg_catalog.current_database()))
$$;

-- Who decided what about an effect, on which version of it. Append only.
CREATE TABLE lg_production.effect_decisions (
  decision_id   uuid PRIMARY KEY,
  key           bytea NOT NULL,
  version       int NOT NULL,
  action        text NOT NULL CHECK (action IN ('approve', 'respond', 'reject', 'edit')),
  fingerprint   bytea,                      -- of the edited arguments
  decided_by    text NOT NULL,
  reason        text NOT NULL,
  decided_at    timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX effect_decisions_by_key ON lg_production.effect_decisions (key);

-- One random secret per database, from which native keys are derived.
CREATE TABLE lg_production.secrets (
  name  text PRIMARY KEY,
  value text NOT NULL
);
INSERT INTO lg_production.secrets (name, value)
VALUES ('native_key', gen_random_uuid()::text || gen_random_uuid()::text);
