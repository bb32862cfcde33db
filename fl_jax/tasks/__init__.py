"""Tasks: what the sites learn, as pure functions of parameters and batches."""
