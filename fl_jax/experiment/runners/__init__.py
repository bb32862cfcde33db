"""One file for each kind of run that `launch.sweep` repeats; `fl_jax.core.spec` finds them by name.

`<name>(seeds, folder, ...)` makes a runner from all seeds of the sweep and a folder for its files. The runner
is called as `(settings, seed)` from several threads, and returns numbers, or lists of numbers, by name.
"""
