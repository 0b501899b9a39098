"""Testing and evaluation: golden data, behaviours, pinned judges, drift."""
