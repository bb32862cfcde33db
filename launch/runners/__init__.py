"""One file for each kind of run that `launch.sweep` can repeat; `fl_jax.spec` finds them by name."""
