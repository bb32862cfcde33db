import jax
import numpy as np
import pytest

from fl_jax.core.sites import Sites, central, local


def examples(count, start=0):
    """x numbers its examples, y is half of them in [0, 1]."""
    x = np.arange(start, start + count, dtype=np.float32)[:, None]
    return x, (x % 2).astype(np.float32)


@pytest.fixture
def sites():
    return Sites({"a": examples(7), "b": examples(3, start=100)}, batch_size=4, seed=5)


def seen(batches):
    return np.concatenate([b.inputs[b.mask > 0, 0] for b in batches])


def test_a_round_has_every_example_once_and_pads_its_last_batch(sites):
    batches = [*sites.batches("a", 0)]
    assert [batch.mask.tolist() for batch in batches] == [[1, 1, 1, 1], [1, 1, 1, 0]]
    assert {batch.inputs.shape for batch in batches} == {(4, 1)}
    assert sorted(seen(batches)) == [*range(7)]
    for batch in batches:
        np.testing.assert_array_equal(batch.labels, batch.inputs % 2)


def test_batches_depend_on_seed_round_and_site_alone(sites):
    first = seen(sites.batches("a", 0))
    np.testing.assert_array_equal(seen(sites.batches("a", 0)), first)
    other = Sites({"z": examples(9), "a": examples(7)}, batch_size=3, seed=5)
    np.testing.assert_array_equal(seen(other.batches("a", 0)), first)
    assert not np.array_equal(seen(sites.batches("a", 1)), first)
    renamed = Sites({"b": examples(7)}, batch_size=4, seed=5)
    assert not np.array_equal(seen(renamed.batches("b", 0)), first)
    reseeded = Sites({"a": examples(7)}, batch_size=4, seed=6)
    assert not np.array_equal(seen(reseeded.batches("a", 0)), first)


@pytest.mark.parametrize(("epochs", "count"), [(0.01, 1), (0.5, 4), (1, 7), (2.0, 14), (2.5, 18)])
def test_epochs_are_whole_passes_and_a_part(sites, epochs, count):
    order = seen(sites.batches("a", 3, epochs))
    assert len(order) == count
    for begin in range(0, count, 7):
        assert len(set(order[begin : begin + 7])) == len(order[begin : begin + 7])
    assert sites.steps("a", epochs) == len([*sites.batches("a", 3, epochs)])


def test_a_stack_is_every_sites_batches_and_nothing(sites):
    stacked = sites.stack(2)
    assert stacked.inputs.shape == (2, 2, 4, 1)
    for index, name in enumerate(sites.names):
        row = jax.tree.map(lambda leaf, index=index: leaf[index], stacked)
        for step, batch in enumerate(sites.batches(name, 2)):
            jax.tree.map(lambda a, b, t=step: np.testing.assert_array_equal(a[t], b), row, batch)
    assert stacked.mask[1, 1].sum() == 0


def test_pytrees_are_batched_leaf_by_leaf():
    x = {"image": np.arange(5), "age": np.arange(5) * 2.0}
    (batch,) = Sites({"a": {"x": x, "y": np.arange(5)}}, batch_size=5).batches("a", 0)
    np.testing.assert_array_equal(batch.inputs["age"], 2 * batch.inputs["image"])
    assert batch.inputs["age"].dtype == np.float32
    np.testing.assert_array_equal(batch.labels, batch.inputs["image"])


def test_central_and_local_see_as_many_examples_as_the_federation(sites):
    pooled, alone = central(sites), local(sites, "b")
    assert pooled.names == ("all",)
    for epochs in (0.5, 1, 3):
        federated = sum(len(seen(sites.batches(name, 0, epochs))) for name in sites.names)
        assert abs(len(seen(pooled.batches("all", 0, epochs))) - federated) <= 1
        assert len(seen(alone.batches("b", 0, epochs))) == len(
            seen(pooled.batches("all", 0, epochs))
        )
    assert set(seen(alone.batches("b", 0))) == {100, 101, 102}
    assert sorted(seen(pooled.batches("all", 0))) == [*range(7), 100, 101, 102]
    assert central(alone).examples_per_epoch == 10


BAD = {
    r"sites=\{\}: give at least one site": {},
    r"site 'b': has no examples": {"a": examples(2), "b": examples(0)},
    r"site 'b': x and y have \[2, 3\] examples": {"b": (np.zeros((2, 1)), np.zeros((3, 1)))},
    r"site 'b' has examples .*\[2\].* site 'a' .*\[1\]": {
        "a": examples(2),
        "b": (np.zeros((3, 2)), np.zeros((3, 1))),
    },
    r"site 'a': has NaN or infinity": {"a": (np.array([[0.0], [np.nan]]), np.zeros((2, 1)))},
    r"site 'a': labels lie in 0..3, outside 0..1": {"a": (np.zeros(2), np.array([0.0, 3]))},
    r"site 'a': labels lie in -1..1": {"a": (np.zeros((2, 1)), np.array([[-1], [1]]))},
    r"site 'a': labels lie in -1..4": {"a": (np.zeros(2), np.array([-1, 4]))},
    r"site 'a': has an array of <U3": {"a": (np.array(["one", "two"]), np.zeros(2))},
    r"site 'a': has the keys \['x', 'z'\]": {"a": {"x": np.zeros(2), "z": np.zeros(2)}},
    r"site 'a': is a ndarray; must be a pair": {"a": np.zeros((2, 3))},
}


@pytest.mark.parametrize("message", BAD)
def test_bad_examples_are_refused_by_site(message):
    with pytest.raises(ValueError, match=message):
        Sites(BAD[message], batch_size=2)


def test_bad_arguments_are_refused(sites):
    for wrong in ({"batch_size": 0}, {"batch_size": 2.5}, {"batch_size": 2, "seed": -1}):
        with pytest.raises(ValueError, match=r"(batch_size|seed)=.*: must be"):
            Sites({"a": examples(2)}, **wrong)
    with pytest.raises(ValueError, match=r"epochs=0: must be above 0"):
        next(sites.batches("a", 0, 0))
    for call in (lambda: next(sites.batches("c", 0)), lambda: local(sites, "c")):
        with pytest.raises(ValueError, match="site 'c': unknown; the sites are a, b"):
            call()


def test_class_numbers_and_targets_of_a_regression():
    numbers = Sites({"a": (np.zeros(4), np.array([0, 9, 3, 9]))}, batch_size=4)
    assert sorted(next(numbers.batches("a", 0)).labels) == [0, 3, 9, 9]
    targets = Sites({"a": (np.zeros(2), np.array([-3.5, 7]))}, batch_size=2, label_range=None)
    assert sorted(next(targets.batches("a", 0)).labels) == [-3.5, 7]


def test_a_folder_of_npz(tmp_path):
    for name, count in {"south": 3, "north": 5}.items():
        x, y = examples(count)
        np.savez(tmp_path / f"{name}.npz", x=x, y=y)
    read = Sites.from_npz(tmp_path, batch_size=2)
    assert read.sizes == {"north": 5, "south": 3}
    with pytest.raises(ValueError, match=r"has no \.npz files"):
        Sites.from_npz(tmp_path / "empty", batch_size=2)
    (tmp_path / "west.npz").write_bytes(b"no archive")
    with pytest.raises(ValueError, match=r"west\.npz: is no readable"):
        Sites.from_npz(tmp_path, batch_size=2)
    np.savez(tmp_path / "west.npz", x=np.array([{}], object), y=np.zeros(1))
    with pytest.raises(ValueError, match=r"west\.npz: is no readable .npz of numeric arrays"):
        Sites.from_npz(tmp_path, batch_size=2)


def test_a_split_is_dealt_by_a_function():
    rows = [{"image": np.full((2, 2), k, np.uint8), "label": np.int64(k % 3)} for k in range(9)]
    dealt = Sites.from_tfds(rows, lambda x, y: np.where(y == 0, "zero", "rest"), 3)
    assert dealt.sizes == {"rest": 6, "zero": 3}
    (batch,) = dealt.batches("zero", 0)
    assert batch.inputs.dtype == np.uint8
    assert sorted(batch.inputs[:, 0, 0]) == [0, 3, 6]
    pairs = Sites.from_tfds([(row["image"], row["label"]) for row in rows], lambda x, y: y, 3)
    assert pairs.sizes == {"0": 3, "1": 3, "2": 3}
    with pytest.raises(ValueError, match="no feature 'scan'"):
        Sites.from_tfds(rows, lambda x, y: y, 3, keys=("scan", "label"))
    with pytest.raises(ValueError, match=r"partition: returned shape \(2,\)"):
        Sites.from_tfds(rows, lambda x, y: y[:2], 3)


def test_a_tf_dataset_is_dealt_too():
    tf = pytest.importorskip("tensorflow")
    x, y = examples(6)
    split = tf.data.Dataset.from_tensor_slices({"image": x, "label": y})
    dealt = Sites.from_tfds(split, lambda x, y: y[:, 0].astype(int), 2)
    assert dealt.sizes == {"0": 3, "1": 3}
