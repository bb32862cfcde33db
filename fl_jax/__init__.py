"""fl_jax: functional federated learning between hospitals in JAX."""
