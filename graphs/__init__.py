"""The reference graphs, and the world they act on."""
