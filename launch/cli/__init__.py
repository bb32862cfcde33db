"""Parts that several programs share: progress, processes, tables, output."""
