"""Ways to send patients to sites, one a module; a config names one as a call, see `fl_jax.core.spec`."""
