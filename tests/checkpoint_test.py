import shutil
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fl_jax.checkpoint import Store


def tree(value):
    return {"w": jnp.full((3, 2), value, jnp.float32), "n": jnp.int32(7), "key": jax.random.key(5)}


def silent(sentence):
    raise AssertionError(sentence)


def test_round_trip_to_the_bit(tmp_path):
    store = Store(tmp_path)
    assert store.restore(tree(0), complain=silent) is None
    store.save(1, tree(1 / 3), {"best": 0.5})
    store.close()
    step, restored, facts = Store(tmp_path).restore(tree(0), complain=silent)
    assert step == 1
    assert facts["best"] == 0.5
    np.testing.assert_array_equal(restored["w"], tree(1 / 3)["w"])
    assert (
        jax.random.key_data(restored["key"]).tolist()
        == jax.random.key_data(tree(0)["key"]).tolist()
    )


def test_only_the_newest_are_kept(tmp_path):
    store = Store(tmp_path, keep=2)
    for step in range(1, 5):
        store.save(step, tree(step), {})
    assert sorted(int(p.name) for p in tmp_path.iterdir() if p.name.isdigit()) == [3, 4]


def spoil(folder):
    """Flips one bit in the largest array file of a step."""
    largest = max((p for p in folder.rglob("*") if p.is_file()), key=lambda p: p.stat().st_size)
    data = bytearray(largest.read_bytes())
    data[len(data) // 2] ^= 1
    largest.write_bytes(bytes(data))


def test_a_damaged_step_is_passed_over_loudly(tmp_path):
    store = Store(tmp_path)
    store.save(1, tree(1), {})
    store.save(2, tree(2), {})
    store.close()
    spoil(tmp_path / "2")
    said = []
    step, restored, _ = Store(tmp_path).restore(tree(0), complain=said.append)
    assert step == 1
    assert restored["w"][0, 0] == 1
    assert "checkpoint 2" in said[0]


def test_when_none_is_sound_it_says_so(tmp_path):
    store = Store(tmp_path)
    store.save(1, tree(1), {})
    store.close()
    spoil(tmp_path / "1")
    with pytest.raises(ValueError, match="remove the folder"):
        Store(tmp_path).restore(tree(0), complain=lambda sentence: None)


def test_after_a_damaged_step_its_round_is_saved_again(tmp_path):
    store = Store(tmp_path)
    store.save(1, tree(1), {})
    store.save(2, tree(2), {})
    store.close()
    for _ in range(2):  # also where an earlier damaged one was set aside
        spoil(tmp_path / "2")
        store = Store(tmp_path)
        store.restore(tree(0), complain=lambda sentence: None)
        store.save(2, tree(3), {})
        store.close()
    step, restored, _ = Store(tmp_path).restore(tree(0), complain=silent)
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
    store.close()
    spoil(tmp_path / "3")
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    for step, value in ((None, 2), (2, 2)):
        found = Store(tmp_path, read_only=True).restore(
            tree(0), step=step, complain=lambda sentence: None
        )
        assert found is not None
        assert found[0] == found[1]["w"][0, 0] == value
    for step, words in ((1, r"step=1: .* holds \[3, 2\]"), (3, r"none of the checkpoints \[3\]")):
        with pytest.raises(ValueError, match=words):
            Store(tmp_path, read_only=True).restore(
                tree(0), step=step, complain=lambda sentence: None
            )
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


def test_without_room_nothing_is_written_and_what_is_there_stays(tmp_path, monkeypatch):
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
    store.save(2, tree(2), {})
