"""A checkpoint with any byte changed, cut or gone: the same bits, the step before, or a refusal."""

import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from fuzzing import count, each, flipped
from reporters import Said

from fl_jax.experiment.checkpoint import Store


def tree(value):
    w = jax.random.normal(jax.random.key(value), (40, 30))
    return {"w": w, "n": jnp.int32(value), "key": jax.random.key(5)}


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sound")
    store = Store(folder)
    for step in (1, 2):
        store.save(step, tree(step), {"best": step / 2})
    return folder


# Orbax lets go of coroutines that it has not awaited when a file is damaged.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_no_damage_gives_other_numbers(sound, tmp_path):
    files = sorted(
        str(p.relative_to(sound)) for p in sound.rglob("*") if p.is_file() and p.stat().st_size
    )
    number = 0

    def draw(generator):
        return files[int(generator.integers(len(files)))], int(generator.integers(4)), generator

    def judge(case):
        nonlocal number
        number += 1
        name, kind, generator = case
        folder = tmp_path / str(number)
        shutil.copytree(sound, folder)
        path = folder / name
        data = path.read_bytes()
        match kind:
            case 0:
                path.write_bytes(flipped(generator, data))
            case 1:
                path.write_bytes(data[: int(generator.integers(len(data)))])
            case 2:
                path.unlink()
            case 3:
                path.write_bytes(generator.bytes(len(data)))
        said = Said()
        try:
            result = Store(folder).restore(tree(0), said)
        except ValueError as error:
            return "refused" if str(folder) in str(error) else f"unnamed: {error!r}"
        finally:
            shutil.rmtree(folder)
        assert result is not None, name
        step, restored, facts = result
        np.testing.assert_array_equal(restored["w"], tree(step)["w"], err_msg=name)
        assert int(restored["n"]) == step
        assert facts["best"] == step / 2, name
        assert step == 2 or said, f"{name}: the step before, without a word"
        return f"step {step}"

    outcomes = each(10, count(40), draw, judge)
    assert outcomes["step 1"]
    assert outcomes["step 2"]
    assert outcomes.keys() <= {"step 1", "step 2", "refused"}, outcomes
