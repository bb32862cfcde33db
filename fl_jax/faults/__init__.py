"""One file a fault that a site, or the server, may have; `fl_jax.faults.fault` says what they are."""
