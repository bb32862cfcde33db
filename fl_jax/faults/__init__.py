"""One file a fault that a site, or the server, may have; `fl_jax.faulty` says what they are."""
