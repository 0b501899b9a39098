"""Capability 3, human oversight: who decides, on what evidence, and with which promise."""
