"""Shared by the programs: flags, progress, processes, tables, output."""
