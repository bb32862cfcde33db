"""A checkpoint from anybody is read within what its files hold, or refused; it names nothing that is run."""

import json
import os
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
import pytest

from fl_jax.experiment import checkpoint_step
from fl_jax.experiment.checkpoint_step import layout_of, read, shaped, write

TREE = {"w": jnp.arange(12.0).reshape(3, 4), "key": jax.random.key(5)}


@pytest.fixture
def step(tmp_path):
    write(tmp_path / "1", TREE, {"best_round": 1})
    return tmp_path / "1"


def forge(step, **changes):
    """Changes the facts as an adversary would, with digests that agree."""
    path = step / "facts" / "metadata"
    facts = {
        k: v for k, v in (json.loads(path.read_text()) | changes).items() if k != "facts_digest"
    }
    path.write_text(json.dumps(facts | {"facts_digest": checkpoint_step._digest(facts)}))


def row(**changes):
    return checkpoint_step.arrays({"w": TREE["w"]})[0] | changes


def test_shapes_alone_restore_as_numpy(step):
    like = jax.eval_shape(lambda: checkpoint_step.untyped(TREE))
    named, facts = read(step, layout_of(like))
    assert facts["best_round"] == 1
    restored = shaped(named, like)
    assert type(restored["w"]) is np.ndarray
    np.testing.assert_array_equal(restored["w"], TREE["w"])
    np.testing.assert_array_equal(restored["key"], jax.random.key_data(TREE["key"]))


@pytest.mark.parametrize("name", ["_CHECKPOINT_METADATA", "arrays/_METADATA"])
def test_what_orbax_says_about_it_is_not_read(step, name):
    for content in (b"", b"{", b'{"item_handlers": {"arrays": "os.system"}}', b"[" * 10**6):
        (step / name).write_bytes(content)
        np.testing.assert_array_equal(read(step)[0]["w"], TREE["w"])


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"arrays": [row(shape=[2**40])]}, "declares 4398046511104 bytes of arrays, and its files"),
        ({"arrays": [row(shape=[2**62] * 9)]}, "bytes of arrays, and its files have"),
        ({"arrays": [row(shape=[-1])]}, "Expected `int` >= 0"),
        ({"arrays": [row(shape=[0] * 99)]}, "length <= 32"),
        ({"arrays": [row(dtype="object")]}, "it declares an array of object"),
        ({"arrays": [row(dtype="(9,9)f4")]}, "matching regex"),
        ({"arrays": [row(path="../../w")]}, "is no array's path"),
        ({"arrays": [row(path="w\x1b[2J")]}, "is no array's path"),
        ({"arrays": [row(path="other")]}, "Error opening"),
        ({"arrays": [row(shape=[4, 3])]}, "does not match domain"),
        ({"arrays": [row(dtype="int32")]}, "dtype"),
        ({"arrays": [row(sha256="0" * 64)]}, "changed since they were saved: w"),
        ({"arrays": 7}, "Expected `array`"),
        ({"best_round": "__import__"}, "Expected `int`, got `str`"),
        ({"record": {"round": 1, "loss": []}}, "record.loss"),
    ],
)
def test_a_forged_declaration_is_refused(step, changes, words):
    forge(step, **changes)
    with pytest.raises(ValueError, match=words):
        read(step)


def test_another_layout_than_the_run_has_is_refused_before_arrays_are_read(step, monkeypatch):
    monkeypatch.setattr(checkpoint_step, "_read_arrays", lambda *_: pytest.fail("read"))
    expected = layout_of(TREE)
    for other in ({"w": expected["w"]}, expected | {"w": ((3, 5), np.dtype("f4"))}):
        with pytest.raises(ValueError, match="not the arrays that this run has"):
            read(step, other)


def test_compressed_arrays_are_refused(step):
    """A megabyte of zstd may hold gigabytes of zeros."""
    zeros = np.zeros(2**20, np.float32)
    shutil.rmtree(step / "arrays")
    with ocp.StandardCheckpointer() as checkpointer:
        checkpointer.save(step / "arrays", {"w": zeros})
    assert sum(path.stat().st_size for path in step.rglob("*")) < 2**18
    forge(step, arrays=checkpoint_step.arrays({"w": zeros}))
    with pytest.raises(ValueError, match="4194304 bytes of arrays"):
        read(step)
    (step / "padding").write_bytes(bytes(2**22))
    with pytest.raises(ValueError, match='Expected "compressor" of null'):
        read(step)


@pytest.mark.parametrize("kind", ["link", "folder", "pipe"])
def test_links_and_special_files_are_refused(step, tmp_path, kind):
    for path in [path for path in step.rglob("*") if path.is_dir() == (kind == "folder")]:
        aside = path.rename(tmp_path / "aside")
        os.mkfifo(path) if kind == "pipe" else path.symlink_to(aside)
        with pytest.raises(ValueError, match="is a link or a special file"):
            read(step)
        path.unlink()
        aside.rename(path)
    read(step)


def test_nested_and_huge_facts_are_refused(step):
    path = step / "facts" / "metadata"
    for content in (b"[" * 10**6, b"\xff", b"null", b'{"format": 1e400}', b'{"format": {"a": []}}'):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"facts|format"):
            read(step)
