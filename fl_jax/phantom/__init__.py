"""Head CT of patients who do not exist."""
