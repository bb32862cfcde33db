"""One file for each kind of run that `launch.sweep` can repeat; `fl_jax.core.spec` finds them by name.

A runner is made by `<name>(seeds, folder, ...)`: all seeds that will be asked for, and where it may keep
files. It is called with `(settings, seed)`, from several threads, and returns numbers, or lists of them, by
name.
"""
