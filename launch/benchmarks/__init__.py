"""Suites of `launch.benchmark`."""
