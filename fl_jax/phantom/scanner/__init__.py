"""The simulated CT scanner: slice geometry, artefacts and noise."""
