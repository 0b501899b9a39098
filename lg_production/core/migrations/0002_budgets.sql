-- Budgets: what may be spent, what is spent, and what is held for calls under way.
--
-- One row for each (scope, calendar period, quantity). `used`, `reserved` and `alerted` stand
-- in no index, so a reserve and a settle are HOT updates. Amounts are whole numbers: tokens,
-- calls, steps, micro-USD.

CREATE TABLE lg_production.budgets (
  id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,  -- the order in which rows are locked
  tenant      text COLLATE "C" NOT NULL,
  scope       text COLLATE "C" NOT NULL,   -- 'thread:42', 'user:ada', 'task:7/tool:search'
  period      text COLLATE "C" NOT NULL,   -- 'day 2026-11-23T00', or '' for ever
  quantity    text COLLATE "C" NOT NULL CHECK (quantity IN
                ('input_tokens', 'output_tokens', 'total_tokens', 'micro_usd',
                 'model_calls', 'tool_calls', 'steps')),
  ceiling     bigint NOT NULL CHECK (ceiling >= 0),             -- the policy's limit
  override    bigint CHECK (override >= 0),                     -- an operator's limit instead
  extra       bigint NOT NULL DEFAULT 0,                        -- what people added since
  used        bigint NOT NULL DEFAULT 0 CHECK (used >= 0),
  reserved    bigint NOT NULL DEFAULT 0 CHECK (reserved >= 0),
  thresholds  smallint[] NOT NULL,                              -- percent at which to tell
  alerted     smallint NOT NULL DEFAULT 0,                      -- the highest that was told
  created_at  timestamptz NOT NULL DEFAULT now(),
  UNIQUE (tenant, scope, period, quantity)
) WITH (fillfactor = 50);

CREATE FUNCTION lg_production.budget_limit(b lg_production.budgets) RETURNS bigint
LANGUAGE sql IMMUTABLE AS $$ SELECT coalesce((b).override, (b).ceiling) + (b).extra $$;

-- What is held for one call, in all its budgets at once, and what became of it.
CREATE TABLE lg_production.reservations (
  key           bytea PRIMARY KEY,         -- the idempotency key: one call is counted once
  tenant        text NOT NULL,
  fingerprint   bytea NOT NULL,            -- sha256 of what was asked for
  state         text NOT NULL CHECK (state IN ('reserved', 'settled', 'released', 'expired')),
  owner         uuid NOT NULL,             -- fences a release
  worker        int,                       -- advisory lock of the owner's process; null: lease only
  lease_until   timestamptz,               -- null once it is closed
  budgets       bigint[] NOT NULL,
  quantities    text[] NOT NULL,
  amounts       bigint[] NOT NULL,         -- held in each of them
  thread_id     text,
  node          text,
  message_id    text,                      -- the last message that the model was shown
  requested     text,                      -- the model that was asked for
  served        text,                      -- the model that answered
  spent         json,                      -- all quantities that were measured
  price_version text,
  created_at    timestamptz NOT NULL DEFAULT now(),
  closed_at     timestamptz
) WITH (fillfactor = 70);

CREATE INDEX reservations_open ON lg_production.reservations (lease_until)
  WHERE lease_until IS NOT NULL;
CREATE INDEX reservations_by_thread ON lg_production.reservations (thread_id, created_at);
CREATE INDEX reservations_by_age ON lg_production.reservations USING brin (created_at);

-- A threshold that was crossed, until somebody has told of it.
CREATE TABLE lg_production.budget_alerts (
  budget        bigint NOT NULL REFERENCES lg_production.budgets ON DELETE CASCADE,
  threshold     smallint NOT NULL,
  used          bigint NOT NULL,
  crossed_at    timestamptz NOT NULL DEFAULT now(),
  told_at       timestamptz,
  PRIMARY KEY (budget, threshold)
);
CREATE INDEX budget_alerts_untold ON lg_production.budget_alerts (crossed_at)
  WHERE told_at IS NULL;

-- Who gave a budget more, or set it. Append only; the key makes a decision count once.
CREATE TABLE lg_production.budget_decisions (
  key         bytea PRIMARY KEY,
  budget      bigint NOT NULL,
  action      text NOT NULL CHECK (action IN ('set', 'extend')),
  amount      bigint NOT NULL,
  decided_by  text NOT NULL,
  reason      text NOT NULL,
  decided_at  timestamptz NOT NULL DEFAULT now()
);
