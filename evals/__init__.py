"""Evaluations: what holds under failure, how fast, how well."""
