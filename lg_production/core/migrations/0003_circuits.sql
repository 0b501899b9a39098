-- Circuits: what fails too often is not called for a while.
--
-- One row for each dependency that was called. The last ten tenths of the window stand in two
-- arrays, the newest first, so that a count and the opening it leads to are one update of one
-- row. Nothing but the key is in an index: every update is HOT.

CREATE TABLE lg_production.circuits (
  tenant       text COLLATE "C" NOT NULL,
  dependency   text COLLATE "C" NOT NULL,  -- 'tool:search', 'model:openai/gpt-4o'
  state        text NOT NULL DEFAULT 'closed' CHECK (state IN ('closed', 'open', 'half_open')),
  version      int NOT NULL DEFAULT 0,     -- counts the changes of state: fences late outcomes
  trips        int NOT NULL DEFAULT 0,     -- openings since it was last closed: the backoff
  changed_at   timestamptz NOT NULL DEFAULT now(),
  retry_at     timestamptz,                -- an open circuit may be probed from then on
  started_at   timestamptz NOT NULL DEFAULT now(),            -- of the newest tenth
  width        float8 NOT NULL CHECK (width > 0),             -- of a tenth, in seconds
  calls        int[] NOT NULL DEFAULT '{0,0,0,0,0,0,0,0,0,0}',
  failures     int[] NOT NULL DEFAULT '{0,0,0,0,0,0,0,0,0,0}',
  successes    int NOT NULL DEFAULT 0,     -- probes that succeeded since it was half open
  probe_owner  uuid,                       -- fences the outcome of a probe
  probe_worker int,                        -- advisory lock of its process; null: lease only
  probe_until  timestamptz,
  PRIMARY KEY (tenant, dependency),
  CHECK ((state = 'open') = (retry_at IS NOT NULL)),
  CHECK (probe_owner IS NULL OR state = 'half_open')
) WITH (fillfactor = 50);
