import errno
import json
import os
import shutil
import subprocess
import sys
from types import SimpleNamespace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from fuzzing import no_file_above
from reporters import Said, Strict

from fl_jax.experiment import checkpoint_step
from fl_jax.experiment.checkpoint import Store
from fl_jax.experiment.checkpoint_step import arrays
from fl_jax.experiment.config import Config
from fl_jax.experiment.reporter import SILENT
from fl_jax.experiment.run import run
from fl_jax.experiment.train import train_arm
from fl_jax.workdir import Workdir


def tree(value, shape=(64, 8)):
    return {"w": jnp.full(shape, value, jnp.float32), "n": jnp.int32(7), "key": jax.random.key(5)}


def test_round_trip_to_the_bit(tmp_path):
    store = Store(tmp_path)
    assert store.restore(tree(0), Strict()) is None
    store.save(1, tree(1 / 3), {"best": 0.5})
    step, restored, facts = Store(tmp_path).restore(tree(0), Strict())
    assert step == 1
    assert facts["best"] == 0.5
    np.testing.assert_array_equal(restored["w"], tree(1 / 3)["w"])
    assert (
        jax.random.key_data(restored["key"]).tolist()
        == jax.random.key_data(tree(0)["key"]).tolist()
    )


@pytest.mark.parametrize("name", ["a [b]", "a\\b", "**", "[!x]"])
def test_a_path_below_which_nothing_could_be_read_again_is_refused(tmp_path, name):
    with pytest.raises(ValueError, match=r"in its path, below which .* another --workdir"):
        Store(tmp_path / name)
    for work in (run, train_arm):  # before a cohort is drawn and a dataset built
        with pytest.raises(ValueError, match="in its path, below which"):
            work(Config(), Workdir(tmp_path / name))
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["a'b \"c", "é\u2028\n", "%41{x}?*#|", "[x", "~$HOME", "x" * 200])
def test_a_path_may_have_any_other_character(tmp_path, name):
    Store(tmp_path / name).save(1, tree(1), {})
    assert Store(tmp_path / name).restore(tree(0), Strict()) is not None


def test_dtypes_that_numpy_has_no_name_for(tmp_path):
    store = Store(tmp_path)
    saved = {"half": jnp.arange(6, dtype=jnp.bfloat16).reshape(2, 3), "one": jnp.bfloat16(1.5)}
    saved |= {"bit": jnp.array([True, False]), "empty": jnp.zeros((0, 3), jnp.float8_e4m3fn)}
    saved |= {"none": np.zeros((2, 0), np.int64), "scalar": np.zeros((), np.uint8)}
    store.save(1, saved, {})
    restored = store.restore(saved, Strict())
    assert restored is not None
    for name, array in restored[1].items():
        assert array.dtype == saved[name].dtype
        np.testing.assert_array_equal(array, saved[name])
    named, _ = store.read(1)
    assert named["half"].dtype == jnp.bfloat16


def test_arrays_of_another_run_are_named(tmp_path):
    store = Store(tmp_path)
    store.save(1, tree(1), {})
    said = Said()
    for other in (tree(0, (64, 9)), tree(0) | {"more": jnp.zeros(2)}):
        with pytest.raises(ValueError, match="none of the checkpoints"):
            store.restore(other, said)
    assert ["not the arrays that this run has: w" in said[0], "has: more" in said[1]] == [True] * 2


@pytest.mark.parametrize("name", ["a/b", "a.b"])
def test_two_arrays_of_one_path_are_refused(tmp_path, name):
    with pytest.raises(ValueError, match="2 arrays have 1 paths"):
        Store(tmp_path).save(1, {name: jnp.zeros(1), "a": {"b": jnp.ones(1)}}, {})


ALONE = """
import json, sys
import numpy as np
import orbax.checkpoint as ocp
from etils import epath
folder = epath.Path(sys.argv[1])
manager = ocp.CheckpointManager(folder)
items = ocp.args.Composite(arrays=ocp.args.StandardRestore(), facts=ocp.args.JsonRestore())
step = manager.restore(manager.latest_step(), args=items)
one = ocp.StandardCheckpointer().restore(folder / "2" / "arrays")
for arrays in (step["arrays"], one):
    assert arrays["first"]["half"].dtype == "bfloat16"
    assert arrays["second"]["0"]["n"] == 7
    print(json.dumps(np.asarray(arrays["first"]["w"]).tolist()))
print(json.dumps(step["facts"]["best_round"]))
assert not [name for name in sys.modules if name.startswith("fl_jax")]
"""


def test_orbax_alone_opens_a_checkpoint(tmp_path):
    store = Store(tmp_path)
    saved = Pair(tree(1 / 3, (3, 2)) | {"half": jnp.ones(2, jnp.bfloat16)}, (tree(2, (3, 2)),))
    store.save(2, saved, {"best_round": 1})
    done = subprocess.run(
        [sys.executable, "-c", ALONE, str(tmp_path)], capture_output=True, text=True, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    first, second, best = map(json.loads, done.stdout.splitlines())
    assert first == second == saved.first["w"].tolist()
    assert best == 1


def test_keys_of_every_kind_are_restored_with_their_kind(tmp_path):
    store = Store(tmp_path)
    keys = {
        kind: jax.random.split(jax.random.key(3, impl=kind), 2) for kind in ("rbg", "threefry2x32")
    }
    store.save(1, keys, {})
    restored = store.restore(jax.tree.map(jnp.copy, keys), Strict())
    assert restored is not None
    for kind, key in restored[1].items():
        assert key.dtype == keys[kind].dtype
        assert jax.random.uniform(key[1]) == jax.random.uniform(keys[kind][1])


def test_what_is_saved_is_on_the_disk(tmp_path, monkeypatch):
    synced, fsync = set(), os.fsync
    monkeypatch.setattr(
        os, "fsync", lambda number: (synced.add(os.fstat(number).st_ino), fsync(number))
    )
    store = Store(tmp_path)
    store.save(1, tree(1), {})
    names = {path.name for path in tmp_path.rglob("*") if path.is_file()}
    assert names >= {"manifest.ocdbt", "metadata"}
    assert synced >= {path.stat().st_ino for path in (tmp_path, *tmp_path.rglob("*"))}


def test_only_the_newest_are_kept(tmp_path):
    store = Store(tmp_path, keep=2)
    for step in range(1, 5):
        store.save(step, tree(step), {})
    assert sorted(int(p.name) for p in tmp_path.iterdir() if p.name.isdigit()) == [3, 4]


@pytest.mark.parametrize("goes_on", [True, False])
def test_a_deletion_that_was_cut_off_is_ended(tmp_path, goes_on):
    """Without its metadata Orbax knows a step no longer, and would leave the rest of it for ever."""
    store = Store(tmp_path)
    for step in (3, 4):
        store.save(step, tree(step), {})
    shutil.copytree(tmp_path / "3", tmp_path / "2")
    shutil.rmtree(tmp_path / "2" / "facts")
    (tmp_path / "2" / "_CHECKPOINT_METADATA").unlink()
    assert Store(tmp_path, read_only=True).steps() == [4, 3, 2]  # and it changes nothing
    store = Store(tmp_path)
    if goes_on:
        store.save(5, tree(5), {})
    else:
        store.restore(tree(0), Strict())
    assert store.steps() == ([5, 4] if goes_on else [4, 3])


def spoil(folder):
    """Flips one bit in the middle of a step's largest file, which is in the array `w`."""
    largest = max((p for p in folder.rglob("*") if p.is_file()), key=lambda p: p.stat().st_size)
    data = bytearray(largest.read_bytes())
    data[len(data) // 2] ^= 1
    largest.write_bytes(bytes(data))


def test_a_damaged_step_is_passed_over_loudly(tmp_path):
    store = Store(tmp_path)
    store.save(1, tree(1), {})
    store.save(2, tree(2), {})
    spoil(tmp_path / "2")
    said = Said()
    step, restored, _ = Store(tmp_path).restore(tree(0), said)
    assert step == 1
    assert restored["w"][0, 0] == 1
    assert "checkpoint 2" in said[0]


def test_when_none_is_sound_it_says_so(tmp_path):
    store = Store(tmp_path)
    store.save(1, tree(1), {})
    spoil(tmp_path / "1")
    with pytest.raises(ValueError, match="remove the folder"):
        Store(tmp_path).restore(tree(0), SILENT)


def test_after_a_damaged_step_its_round_is_saved_again(tmp_path):
    store = Store(tmp_path)
    store.save(1, tree(1), {})
    store.save(2, tree(2), {})
    for _ in range(2):  # also where an earlier damaged one was set aside
        spoil(tmp_path / "2")
        store = Store(tmp_path)
        store.restore(tree(0), SILENT)
        store.save(2, tree(3), {})
    step, restored, _ = Store(tmp_path).restore(tree(0), Strict())
    assert step == 2
    assert restored["w"][0, 0] == 3
    assert (tmp_path / "damaged_2").is_dir()


def test_a_step_that_would_not_be_saved_is_an_error(tmp_path):
    store = Store(tmp_path)
    store.save(2, tree(2), {})
    with pytest.raises(ValueError, match=r"step=2: .* has step 2 already"):
        store.save(2, tree(3), {})


def test_a_reader_changes_nothing_and_can_choose_its_step(tmp_path):
    store = Store(tmp_path)
    for step in (1, 2, 3):
        store.save(step, tree(step), {})
    spoil(tmp_path / "3")
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    for step, value in ((None, 2), (2, 2)):
        restored = Store(tmp_path, read_only=True).restore(tree(0), SILENT, step=step)
        assert restored is not None
        assert restored[0] == restored[1]["w"][0, 0] == value
    for step, words in (
        (1, r"step=1: .* has the steps \[3, 2\]"),
        (3, r"none of the checkpoints \[3\]"),
    ):
        with pytest.raises(ValueError, match=words):
            Store(tmp_path, read_only=True).restore(tree(0), SILENT, step=step)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


# Orbax lets go of writes that are pending when another fails.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_without_room_nothing_is_written_and_what_is_there_stays(tmp_path, monkeypatch, caplog):
    store = Store(tmp_path)
    store.save(1, tree(1), {})
    before = sorted(tmp_path.rglob("*"))
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=2**19))
    with pytest.raises(
        OSError, match=rf"{tmp_path}: 0\.5 MiB are free and a checkpoint needs 1\.0"
    ):
        store.save(2, tree(2), {})
    assert sorted(tmp_path.rglob("*")) == before
    monkeypatch.undo()
    large = tree(2) | {"w": jax.random.normal(jax.random.key(0), (99, 99))}
    with pytest.raises(OSError, match="File too large") as raised, no_file_above(9000):
        store.save(2, large, {})  # others have filled the disk since
    assert raised.value.errno == errno.EFBIG
    assert raised.value.filename == str(tmp_path)
    assert "Traceback" not in caplog.text
    again = Store(tmp_path)
    assert again.steps() == [1]
    again.save(2, tree(2), {})
    assert again.steps() == [2, 1]


class Pair(NamedTuple):
    first: Any
    second: Any


def nested():
    return Pair(tree(1 / 3, (3, 2)), (tree(2, (3, 2)),))


def like():
    return Pair(tree(0, (3, 2)), (tree(0, (3, 2)),))


def same(result, expected):
    for a, b in zip(jax.tree.leaves(result), jax.tree.leaves(expected), strict=True):
        if jnp.issubdtype(a.dtype, jax.dtypes.prng_key):
            a, b = jax.random.key_data(a), jax.random.key_data(b)
        np.testing.assert_array_equal(a, b)


def test_without_its_structure_a_step_is_read_and_verified(tmp_path):
    store = Store(tmp_path)
    store.save(1, nested(), {"best_round": 1})
    named, facts = store.read(1)
    assert [(row["path"], row["dtype"], row["shape"]) for row in facts["arrays"]] == [
        *(("first/key", "uint32", [2]), ("first/n", "int32", []), ("first/w", "float32", [3, 2])),
        ("second/0/key", "uint32", [2]),
        ("second/0/n", "int32", []),
        ("second/0/w", "float32", [3, 2]),
    ]
    assert sorted(named) == [row["path"] for row in facts["arrays"]]
    np.testing.assert_array_equal(named["first/w"], nested().first["w"])
    assert facts["best_round"] == 1
    assert facts["arrays"] == arrays(nested())


@pytest.mark.parametrize("other", [5, 7])
def test_another_format_is_refused_and_left_as_it_is(tmp_path, monkeypatch, other):
    store = Store(tmp_path)
    monkeypatch.setattr(checkpoint_step, "FORMAT", other)
    store.save(1, tree(1), {})
    monkeypatch.undo()
    with pytest.raises(ValueError, match=rf"step 1 has format {other}, .* reads format 6: use the"):
        store.restore(tree(0), Strict())
    assert (tmp_path / "1").is_dir()


def test_facts_that_were_changed_are_damage(tmp_path):
    store = Store(tmp_path)
    store.save(1, tree(1), {"best_round": 1})
    store.save(2, tree(2), {"best_round": 1})
    path = tmp_path / "2" / "facts" / "metadata"
    path.write_text(path.read_text().replace('"best_round": 1', '"best_round": 2'))
    said = Said()
    restored = Store(tmp_path).restore(tree(0), said)
    assert restored is not None
    assert restored[0] == 1
    assert "its facts have changed since they were saved" in said[0]


# Orbax lets go of coroutines that it has not awaited when a file is damaged.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_every_file_of_the_last_step_damaged_in_turn(tmp_path):
    sound = tmp_path / "sound"
    store = Store(sound)
    for step in (1, 2):
        store.save(step, tree(step), {"best_round": step})
    files = sorted(p.relative_to(sound) for p in (sound / "2").rglob("*") if p.is_file())
    assert len(files) > 4
    found_out = set()
    for name in files:
        for damage in ("flipped", "cut", "empty", "gone"):
            folder = tmp_path / damage / str(name).replace("/", "_")
            shutil.copytree(sound, folder)
            path, data = folder / name, bytearray((sound / name).read_bytes())
            if damage == "gone":
                path.unlink()
            elif not data:
                continue
            else:
                middle = len(data) // 2
                data[middle] ^= 1
                kept = {"flipped": data, "cut": data[:middle], "empty": b""}[damage]
                path.write_bytes(bytes(kept))
            said = Said()
            store = Store(folder)
            result = store.restore(tree(0), said)
            assert result is not None
            step, restored, facts = result
            same(restored, tree(step))
            assert facts["best_round"] == step
            assert said if step == 1 else not said, (name, damage)
            if step == 1:
                assert str(folder) in said[0]
                assert "checkpoint 2" in said[0]
                assert (folder / "damaged_2").is_dir()
                found_out.add((name.parts[1], name.parts[2:3], damage))
    # A file that Orbax does not read is no damage; the bits are the same all the same.
    kinds = ("flipped", "cut", "empty", "gone")
    assert found_out >= {("facts", ("metadata",), kind) for kind in kinds}
    assert found_out >= {("arrays", ("manifest.ocdbt",), kind) for kind in kinds}
