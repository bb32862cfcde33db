"""Flax models, one architecture per file, and pretrained weights."""
