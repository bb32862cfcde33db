"""Sweeps: grids of methods and seeds."""
