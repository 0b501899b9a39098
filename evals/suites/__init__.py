"""The reference graphs as targets of an evaluation: `target(case)` gives one, on a fresh world."""
