"""Every field of a config is checked before work begins, and an error is one line that names it."""

import dataclasses
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from ml_collections import ConfigDict

from configs import (
    demo,
    domain_shift,
    gap_demo,
    gap_hard,
    ich_best,
    ich_fed_avg,
    recalibrate,
    study_head,
)
from fl_jax.experiment import config as configs
from fl_jax.experiment import rules
from fl_jax.experiment.config import FIELDS, Config
from fl_jax.phantom.sites import SITES

ROOT = Path(__file__).parents[2]
SPEC = (
    *("no_such(", "TypeError is none of them", "nothing()", "resnet(1, 2, 3, 4, 5, 6, 7, 8, 9)"),
    *("sgd('x')", "krum(byzantine=9)", "absent(99)", "iid(sites=0)"),
)
REJECTED = {
    "site": None,  # any text; only the data knows the sites
    "backbone_model": None,  # any text; only the backbone's workdir knows its models
    "seed": -1,
    "partition": "iid(sites=0)",
    "windows": ("bone",),
    "model": "resnet(width=3)",
    "pretrained": "missing.pth",
    "pretrained_digest": 12345678,
    "trainable": "^fc/",  # without pretrained weights
    "layer_rates": (("(", 0.1),),
    "backbone": "missing",
    "optimizer": "adam('fast')",
    "round_schedule": "constant_schedule(-1.0)",
    "loss": "cross_entropy(label_weights=(1, 2))",
    "algorithm": "fed_prox(my=3)",
    "aggregator": "krum(byzantine=9)",
    "faults": ("absent(9)",),
    "min_sites": 6,
    "source": "missing",
    "data_dir": "missing",
    "survey": "missing.csv",
    "fractions": (0.5, 0.5, 0.5),
    "fold": 1,
    "accumulate": 3,
    "remat": "yes",
    "cached_features": True,
    "source_layout": "rsna",
}
"""A value of the right type, where there is one, that `Config.of` must refuse."""


def refused(values):
    with pytest.raises(ValueError, match=r"^config\.") as error:
        Config.of(values)
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("config", [demo, ich_best, ich_fed_avg, recalibrate, study_head])
def test_the_configs_are_accepted(config, tmp_path):
    values = config.get_config()
    if values.backbone:
        values.backbone = str(tmp_path)
    assert Config.of(values).to_dict() == Config.parse(values.to_dict()).to_dict()


@pytest.mark.parametrize("sweep", [domain_shift, gap_demo, gap_hard])
def test_what_the_runs_of_a_sweep_share_is_accepted(sweep):
    base = sweep.get_config().base.to_dict()
    Config.of({name: value for name, value in base.items() if name in FIELDS})


@pytest.mark.parametrize("name", sorted(FIELDS))
def test_each_field_refuses_values_in_one_line(name):
    meta, default = FIELDS[name], getattr(Config(), name)
    wrong = [object(), None, {"a": 1}, [None]]
    if meta.choices:
        wrong.append(f"{meta.choices[0]}x")
    if isinstance(default, int | float) and not isinstance(default, bool):
        step = 1 if isinstance(default, int) else 0.5
        wrong += [limit for limit in (meta.low - step, meta.high + step) if abs(limit) < 2**31]
        wrong += [float("nan"), "1"]
    if REJECTED.get(name) is not None:
        wrong.append(REJECTED[name])
    for value in wrong:
        began = time.monotonic()
        message = refused({name: value})
        assert name in message, message
        assert time.monotonic() - began < 5


HOSTILE = (
    *(
        "no",
        "1e-3",
        "\0",
        "a" * 10**6,
        "\x1b[2J",
        "\ud800",
        "~nobody/x",
        "a\nb",
        b"x",
        object(),
        set(),
    ),
    *(float("nan"), float("inf"), 10**400, 2**63, True, 1, np.int64(3), np.bool_(1), np.zeros(3)),
    *(
        None,
        [np.zeros(3)],
        ("a" * 10**6,),
        ((1, 2),),
        ((("^a"), float("nan")),),
        ConfigDict({"a": 1}),
    ),
)


@pytest.mark.parametrize("name", sorted(FIELDS))
def test_no_value_breaks_the_promise(name):
    for value in HOSTILE:
        said = ""
        try:
            Config.parse({name: value})
        except ValueError as error:
            said = str(error)
        if said:
            assert len(said) < 500
            assert said.startswith(f"config.{name}")
            assert said.isprintable()
        else:
            assert isinstance(value, str | bool | int | float)
            assert value not in ("\0", 2**63, 10**400)


@pytest.mark.parametrize("name", ["source", "data_dir", "survey", "pretrained"])
def test_a_path_of_another_kind_is_refused(name, tmp_path):
    (tmp_path / "file").touch()
    wrong = tmp_path / "file" if name in ("source", "data_dir") else tmp_path
    for path in (str(wrong), "a" * 300, "~nobody/x", "/dev/zero"):
        assert refused({name: path}).startswith(f"config.{name}=")


@pytest.mark.parametrize("sites", [2**16 + 1, 2**31 - 1, 99999999999])
def test_the_number_of_sites_is_bounded(sites):
    began = time.monotonic()
    assert refused({"partition": f"iid(sites={sites})"}).startswith("config.partition=")
    assert time.monotonic() - began < 5


def test_an_error_of_the_model_does_not_blame_its_weights(tmp_path):
    (tmp_path / "weights.pth").touch()
    values = {"pretrained": str(tmp_path / "weights.pth"), "model": "resnet(widths=(0,))"}
    assert refused(values).startswith("config.model=")
    assert refused({"model": "resnet(widths=(200000,), blocks=(1,), strides=(1,))"}).endswith(
        "parameters: at most 17,179,869,184"
    )


@pytest.mark.parametrize("name", ["algorithm", "aggregator", "model", "loss", "optimizer"])
@pytest.mark.parametrize("text", SPEC)
def test_each_spec_must_build(name, text):
    assert f"config.{name}={text!r}: " in refused({name: text})


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"round": 3}, "config.round: there is no such field; did you mean config.rounds?"),
        ({"cohort": {"seeds": 1}}, "did you mean config.cohort.seed?"),
        ({"cohort": {"matrix": 1}}, "config.cohort.matrix=1: must be int in 32..2048"),
        ({"layout": "mash"}, "did you mean mesh?"),
        ({"algorithm": "fed_porx()"}, "did you mean fed_prox?"),
        ({"algorithm": "fed_prox(my=3)"}, "did you mean mu?"),
        ({"algorithm": "fed_per(local='^none/')"}, "matches none of the model's leaves"),
        ({"algorithm": "cyclic()", "layout": "mesh"}, "config.layout='mesh'"),
        ({"algorithm": "cyclic()", "round_schedule": "constant_schedule(1.0)"}, "chained"),
        ({"model": "resnet(norm='batch')"}, "the model has ['batch_stats', 'params']"),
        ({"model": "study_head()"}, "give config.backbone"),
        ({"model": "mlp(6)", "remat": True}, "has no blocks to recompute"),
        ({"trainable": "^fc/"}, "the other parameters would stay random"),
        ({"partition": "iid(sites=3)"}, "config.min_sites=4: must be at most 3"),
        ({"source_layout": "rsna"}, "needs --config.source=DIR"),
        ({"cached_features": True}, "set --config.max_degrees=0 --noconfig.flip"),
        ({"backbone": ".", "model": "study_head()"}, "set --config.max_degrees=0 --noconfig.flip"),
        ({"backbone": "missing"}, "there is no such folder"),
        ({"backbone": ".", "pretrained": __file__}, "the model starts from config.backbone"),
        ({"backbone": ".", "trainable": "^fc/"}, "matches none of the model's leaves"),
    ],
)
def test_what_does_not_go_together(values, message):
    assert message in refused(values)


HEAD = {"backbone": ".", "model": "study_head()", "max_degrees": 0.0, "flip": False}


def test_a_head_is_accepted():
    Config.of(HEAD)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("flip", True, "a frozen backbone's features are of unaugmented slices"),
        ("max_degrees", 5.0, "a frozen backbone's features are of unaugmented slices"),
        ("layer_rates", (("^head/", 2.0),), "needs a trained backbone"),
        ("statistics", "local", "must be frozen with backbone"),
        ("backbone", "", "reads features; give config.backbone"),
        ("study_weight", -1.0, "config.study_weight=-1.0"),
        ("loss", "focal()", "is for models of single slices"),
        ("backbone", "missing", "there is no such folder"),
    ],
)
def test_a_head_refuses_what_does_not_fit_it(field, value, message):
    assert message in refused(HEAD | {field: value})


@pytest.mark.parametrize("algorithm", ["fed_bn()", "ditto()"])
def test_running_statistics_and_personal_models(algorithm):
    batch = {"model": "resnet(norm='batch')", "statistics": "recompute", "algorithm": algorithm}
    assert "config.algorithm" in refused(batch)


def test_values_are_normalised_and_copies_checked():
    config = Config.parse({"epochs": 2, "windows": ["brain"], "layer_rates": [["^fc/", 1]]})
    assert config.epochs == 2.0
    assert config.windows == ("brain",)
    assert config.layer_rates == (("^fc/", 1.0),)
    assert config.replace(rounds=3).rounds == 3
    with pytest.raises(ValueError, match=r"config\.rounds=0"):
        config.replace(rounds=0)
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(config, "rounds", 3)  # noqa: B010


def test_what_decides_numbers():
    config = Config()
    same = config.replace(
        jobs=3, data_dir="elsewhere", resamples=7, tracker="none", checkpoint_every=5
    )
    assert same.numbers() == config.numbers()
    assert config.replace(threads=2).numbers() != config.numbers()
    assert Config.parse(config.to_dict()) == config


def test_the_name_of_an_arm():
    assert Config(arm="local", site="b").arm_name == "local_b"
    assert Config(arm="central").arm_name == "central"
    with pytest.raises(ValueError, match=r"add --config\.site=SITE"):
        _ = Config(arm="local").arm_name


def test_the_synthetic_cohort_has_so_many_sites():
    assert len([site for site in SITES if site.name != "holdout"]) == rules.SYNTHETIC_SITES


def test_all_fields_are_listed_without_a_library():
    listed = subprocess.run(
        [sys.executable, "-S", ROOT / "fl_jax" / "experiment" / "config.py"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    for name in FIELDS.keys() - {"cohort"} | {"cohort.scale"}:
        assert f"--config.{name}=" in listed
    assert "--config.windows=('brain', 'subdural', 'soft_tissue')  (tuple of texts)" in listed


def test_the_table_in_the_readme():
    page = (ROOT / "configs" / "README.md").read_text(encoding="utf-8")
    assert configs.markdown() in page, "insert fl_jax.experiment.config.markdown() there"
