"""Configs and flags with values out of every range: planned, or refused by name."""

import sys

import numpy as np
import pytest
from absl import flags
from fuzzing import WORDS, count, each, listing
from ml_collections import config_flags

from configs import ich_fed_avg
from fl_jax.data import slices as datasets
from fl_jax.experiment import data, inputs, setup
from fl_jax.experiment.config import Config
from fl_jax.workdir import Workdir

INTEGERS = (-(2**63), -1, 0, 1, 2, 3, 7, 40, 2**31)
FLOATS = (-1.0, -0.0, 0.0, 1e-300, 0.3, 1.0, 1.5, 1e300, float("inf"), float("nan"))
SPECS = (
    *("", "()", "fed_avg", "fed_avg()", "krum(byzantine=9)", "krum(byzantine=1)", "median()"),
    *(
        "iid(sites=0)",
        "iid(sites=99)",
        "iid(sites=2)",
        "mlp(6, widths=(8,))",
        "mlp(6, widths=(-1,))",
    ),
    *("adam(nan)", "sgd('x')", "secure_sum(limit=0)", "natural()", "not/../a/name()", "\0"),
)
FAULTS = (
    (),
    ("absent(9)",),
    ("stale(1)", "not_finite(2, share=0.5)"),
    ("x",),
    (1,),
    ("absent(1)",),
)
OMITTED = {
    "rounds",
    "cohort",
    "jobs",
    "threads",
    "data_dir",
    "source",
}  # of these any number is a wish


def value(generator, old):
    """Another value of the same type, as a flag would give."""
    pick = lambda values: values[int(generator.integers(len(values)))]  # noqa: E731
    if isinstance(old, bool):
        return not old
    if isinstance(old, int):
        return pick(INTEGERS)
    if isinstance(old, float):
        return pick(FLOATS)
    if isinstance(old, str):
        return pick(SPECS) if generator.integers(2) else pick(WORDS)
    items = [*FLOATS, *SPECS[:3], *WORDS[:5]]
    return tuple(pick(items) for _ in range(int(generator.integers(0, 5))))


@pytest.fixture
def prepared(slices, monkeypatch):
    """The small dataset in the place of files."""
    monkeypatch.setattr(datasets, "load", lambda folder: slices)
    monkeypatch.setattr(datasets, "read_summary", lambda folder: {"digest": "1", "options": {}})


def mutated(generator):
    config = ich_fed_avg.get_config()
    config.update(
        image_size=8, min_sites=2, rounds=2, model="mlp(6, widths=(4,))", layout="sequential"
    )
    names = [name for name in config if name not in OMITTED]
    for _ in range(int(generator.integers(1, 3))):
        name = names[int(generator.integers(len(names)))]
        config[name] = value(generator, config[name])
    if not generator.integers(4):
        config.faults = FAULTS[int(generator.integers(len(FAULTS)))] or ()
    return config


def test_no_config_breaks_the_promise(prepared, tmp_path):
    number = 0

    def judge(fields):
        nonlocal number
        number += 1
        workdir = tmp_path / str(number)
        workdir.mkdir()
        try:
            config = Config.of(fields)
        except ValueError as error:
            one_line = str(error).startswith("config.") and "\n" not in str(error)
            return "refused" if one_line else str(error)
        try:
            opened = data.load(config, Workdir(workdir))
            arm = opened.arms["federated"]
            task, _ = setup.make_task(config, Workdir(workdir), opened.slices, arm)
            state = setup.prepare(config, arm, task, opened.slices, opened.key).state
            inputs.write(config, Workdir(workdir))
        except ValueError as error:
            return "refused for its data" if str(error) else "without a word"
        finally:
            outside = {path.split("/")[0] for path in listing(tmp_path)} - {str(number)}
            assert all(int(name) < number for name in outside), outside
        params = state.server.params
        assert all(np.isfinite(leaf).all() for leaf in _leaves(params))
        return "planned"

    outcomes = each(8, count(60), mutated, judge)
    assert outcomes.keys() <= {"planned", "refused", "refused for its data"}, outcomes
    assert min(outcomes["planned"], outcomes["refused"]) > 1, outcomes


def _leaves(tree):
    for value in tree.values() if isinstance(tree, dict) else [tree]:
        yield from _leaves(value) if isinstance(value, dict) else [value]


@pytest.mark.filterwarnings("ignore:the load_module:DeprecationWarning")
def test_flags_are_parsed_or_refused(tmp_path, monkeypatch):
    names = list(ich_fed_avg.get_config())

    def draw(generator):
        name = names[int(generator.integers(len(names)))]
        if not generator.integers(6):
            name = WORDS[int(generator.integers(len(WORDS)))]
        texts = (*WORDS, *map(str, INTEGERS), *map(str, FLOATS), "(1, 2)", "('a',)", "{}", "[1]")
        return f"--config.{name}={texts[int(generator.integers(len(texts)))]}"

    def judge(argument):
        values = flags.FlagValues()
        config_flags.DEFINE_config_file("config", flag_values=values)
        try:
            arguments = ["program", "--config=configs/ich_fed_avg.py", argument]
            monkeypatch.setattr(sys, "argv", arguments)  # where the overrides are looked for
            values(arguments)
        except (flags.Error, ValueError, TypeError, AttributeError, KeyError) as error:
            return "refused" if str(error) else "without a word"
        return "parsed"

    outcomes = each(9, count(300), draw, judge)
    assert outcomes.keys() == {"parsed", "refused"}, outcomes
