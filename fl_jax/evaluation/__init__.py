"""Statistics of federations: NumPy, float64, on the host."""
