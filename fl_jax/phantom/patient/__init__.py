"""Synthetic patients as numbers: bodies, bleeds, incidental findings."""
