-- Oversight: one row for each tool call that was routed, and what people decided about it.
--
-- The verdict is written once, before any pause, and holds for ever. `state` stands in no index,
-- so what happens to a row is a HOT update but for its opening and its end: what waits for a
-- person is indexed by `waiting_since` alone.

CREATE TABLE lg_production.reviews (
  key           bytea PRIMARY KEY,          -- sha256 over tenant, thread, message and tool call
  tenant        text NOT NULL,
  thread_id     text NOT NULL,
  agent         text NOT NULL,
  tool          text NOT NULL,
  tool_call_id  text NOT NULL,
  arguments     json NOT NULL,              -- what the agent asks for
  digest        bytea NOT NULL,             -- sha256 of exactly what a person is shown
  policy_hash   text NOT NULL,
  verdict       text NOT NULL CHECK (verdict IN
                  ('auto', 'sample', 'review', 'two_person', 'deny')),
  reasons       text[] NOT NULL,
  confidence    float8,
  scores        json NOT NULL,              -- by scorer
  alternatives  json NOT NULL,              -- the other calls that were considered
  provenance    json NOT NULL,              -- where each argument came from
  evidence      json NOT NULL,              -- what a person is shown besides
  stratum       text NOT NULL,              -- of the label that a decision will be,
  probability   float8 NOT NULL CHECK (probability >= 0 AND probability <= 1),  -- and its odds
  draw          float8,                     -- the number that sampled it, or did not
  canary        boolean NOT NULL,           -- known to be bad, and never carried out
  state         text NOT NULL CHECK (state IN ('routed', 'open', 'decided', 'expired')),
  version       int NOT NULL DEFAULT 1,     -- counts every change that a vote must know of
  round         int NOT NULL DEFAULT 1,     -- counts the proposals: other rounds' votes do not count
  quorum        int NOT NULL CHECK (quorum > 0),
  patience      float8 CHECK (patience > 0),  -- seconds from opening to `expires_at`; null: for ever
  outcome       text CHECK (outcome IN ('approve', 'edit', 'reject', 'respond')),
  edited        json,                       -- the arguments that a person proposes instead
  message       text NOT NULL DEFAULT '',
  requester     text NOT NULL,              -- who started the run
  voters        text[] NOT NULL DEFAULT '{}',  -- who agreed, in this round
  assigned_to   text NOT NULL,              -- a reviewer's id or a role, '' for anybody
  claimed_by    text,
  claimed_at    timestamptz,
  claim_until   timestamptz,
  level         int NOT NULL DEFAULT 0,     -- how far it has been escalated
  asked_task    text,                       -- the task in which the graph pauses for it,
  asked_slot    int,                        -- the place of its answer there,
  asked_version int,                        -- and the version that was shown
  created_at    timestamptz NOT NULL DEFAULT now(),
  opened_at     timestamptz,
  shown_at      timestamptz,                -- opened, or the last vote: where thinking starts
  waiting_since timestamptz,                -- opened, and null once it is over
  expires_at    timestamptz,
  decided_at    timestamptz,
  decided_by    text[] NOT NULL DEFAULT '{}',
  CHECK ((state = 'decided') = (outcome IS NOT NULL))
) WITH (fillfactor = 60);

CREATE INDEX reviews_waiting ON lg_production.reviews (waiting_since)
  WHERE waiting_since IS NOT NULL;
CREATE INDEX reviews_by_thread ON lg_production.reviews (thread_id, created_at);
CREATE INDEX reviews_by_age ON lg_production.reviews USING brin (created_at);

-- What people said, those who came too late as well. Append only.
CREATE TABLE lg_production.review_votes (
  key        bytea NOT NULL,
  round      int NOT NULL,
  reviewer   text NOT NULL,
  action     text NOT NULL CHECK (action IN ('approve', 'edit', 'reject', 'respond')),
  arguments  json,                          -- for edit
  message    text NOT NULL,
  digest     bytea NOT NULL,                -- of what this person was shown
  counted    boolean NOT NULL,              -- false: it was decided otherwise before
  seconds    float8 NOT NULL,               -- since it was shown or claimed
  voted_at   timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (key, round, reviewer, action)
);
CREATE INDEX review_votes_by_age ON lg_production.review_votes USING brin (voted_at);

-- What turned out to be wrong although people had approved it. Append only.
CREATE TABLE lg_production.review_incidents (
  id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  key         bytea NOT NULL,
  note        text NOT NULL,
  reported_by text NOT NULL,
  reported_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX review_incidents_by_key ON lg_production.review_incidents (key);

-- Who may decide about what. An empty table: everybody about everything.
CREATE TABLE lg_production.reviewers (
  id           text PRIMARY KEY,
  roles        text[] NOT NULL,
  competences  text[] NOT NULL,             -- names of tools, or '*'
  valid_until  timestamptz
);

-- Why this person may not decide about this review now; null if they may.
CREATE FUNCTION lg_production.review_refusal(r lg_production.reviews, reviewer text)
RETURNS text LANGUAGE sql STABLE AS $$
  SELECT CASE
    WHEN (r).claim_until > clock_timestamp() AND (r).claimed_by <> reviewer THEN 'claimed'
    WHEN NOT EXISTS (SELECT FROM lg_production.reviewers)
      THEN CASE WHEN (r).assigned_to NOT IN ('', reviewer) THEN 'not_assigned' END
    ELSE coalesce((
      SELECT CASE
        WHEN p.valid_until <= clock_timestamp() THEN 'not_valid'
        WHEN NOT (p.competences && ARRAY['*', (r).tool]) THEN 'not_competent'
        WHEN NOT ((r).assigned_to IN ('', p.id) OR (r).assigned_to = ANY(p.roles))
          THEN 'not_assigned'
        ELSE '' END
      FROM lg_production.reviewers p WHERE p.id = reviewer), 'not_a_reviewer')
  END
$$;

-- The stop button: what is stopped, by whom and why.
CREATE TABLE lg_production.stops (
  id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  scope      text NOT NULL,                 -- 'thread:…', 'agent:…', 'tool:…', 'tenant:…', 'all'
  stopped_by text NOT NULL,
  reason     text NOT NULL,
  stopped_at timestamptz NOT NULL DEFAULT now(),
  lifted_by  text,
  lifted_at  timestamptz
);
CREATE UNIQUE INDEX stops_standing ON lg_production.stops (scope) WHERE lifted_at IS NULL;
