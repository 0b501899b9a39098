"""Thresholds that keep their promise, and the usual ones that do not, on simulated reviews."""
