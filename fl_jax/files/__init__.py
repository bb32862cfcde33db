"""Safe file access: atomic writes, bounded reads, and text that is safe to print."""
