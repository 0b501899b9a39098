"""What idempotency costs: ratios to a hand-written ledger, on one server, in one run."""
