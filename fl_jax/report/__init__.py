"""The report: every statistic of an experiment, its page, figures, tables and checklists."""

from fl_jax.files.extras import extra

with extra("ct"):
    import jinja2  # noqa: F401  # so that every module of the package reports a missing extra
    import matplotlib  # noqa: F401
