"""The report: every statistic of an experiment, its page, figures, tables and checklists."""

from fl_jax.files.extras import extra

with extra("ct"):
    import jinja2  # noqa: F401  # here, so that whichever module comes first names the remedy
    import matplotlib  # noqa: F401
