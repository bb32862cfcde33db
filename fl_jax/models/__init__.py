"""Flax linen models, one file an architecture."""
