"""One file a fault that a site may have; `fl_jax.spec` finds them by name."""
