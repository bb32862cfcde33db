"""The report: every statistic of an experiment, its page, figures, tables and checklists."""
