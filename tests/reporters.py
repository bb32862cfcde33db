"""Reporters that keep messages, or fail on any."""

import pytest

from fl_jax.experiment.reporter import Reporter


class Said(list, Reporter):
    """A list of the messages."""

    def message(self, text):
        self.append(text)


class Strict(Reporter):
    def message(self, text):
        pytest.fail(text)
