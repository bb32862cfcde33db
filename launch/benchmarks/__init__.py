"""The suites of `launch.benchmark`, one module each with a function `run`, and what they share."""
