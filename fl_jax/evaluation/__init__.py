"""Statistics of predictions on the host: NumPy in float64."""
