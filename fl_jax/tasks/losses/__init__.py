"""Losses for multi-label classification; one file each."""
