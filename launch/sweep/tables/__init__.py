"""What a sweep may write in the place of its own tables: one file each, named by `config.tables`."""
