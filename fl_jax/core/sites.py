"""The training examples of a federation's sites, as shuffled and padded batches.

Site s sees permutations of its examples, drawn from (seed, round, name of s) and cut to the round's epochs.
"""

import math
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import jax
import numpy as np

from fl_jax.core.examples import checked, columns, count, signature
from fl_jax.core.types import Batch
from fl_jax.files.npz import read_npz


@dataclass(frozen=True, eq=False)
class Sites:
    """The training examples of S sites, held in host memory.

    Guarantees: a site's batches are a pure function of `seed`, the round and the site's name. A resumed run
    repeats them, and no site's batches depend on the other sites.

    Attributes:
        data: `(x, y)` or `{"x": x, "y": y}` by site name. x and y are arrays [n, ...], or pytrees of them; n
            may differ between sites, the trailing shapes and dtypes may not. float64 becomes float32.
        batch_size: B, at least 1. The last batch of a round is padded with examples of mask 0.
        seed: of the shuffling.
        examples_per_epoch: how many examples one epoch has at each site; None for the site's n.
        label_range: the range that labels must lie in; None for any finite label, as in regression. Integer
            labels [n] are class numbers: they only need to be at least 0.

    Raises:
        ValueError: when a site is empty, x and y differ in length, sites differ in shape or dtype, a value is
            not finite, or another argument is out of range. The message names the site.

    >>> import numpy as np
    >>> sites = Sites({"a": (np.ones((5, 3)), np.zeros((5, 1))), "b": (np.ones((2, 3)), np.ones((2, 1)))}, 2)
    >>> sites
    Sites(a: 5, b: 2 examples, batches of 2)
    >>> [batch.mask.tolist() for batch in sites.batches("a", 0)]
    [[1.0, 1.0], [1.0, 1.0], [1.0, 0.0]]
    """

    data: Mapping[str, Any]
    batch_size: int
    seed: int = 0
    examples_per_epoch: int | None = None
    label_range: tuple[float, float] | None = (0.0, 1.0)

    def __post_init__(self) -> None:
        if not self.data:
            raise ValueError("sites={}: give at least one site")
        for name in ("batch_size", "examples_per_epoch"):
            value = getattr(self, name)
            if value is not None and (value < 1 or value != int(value)):
                raise ValueError(f"{name}={value}: must be a whole number, at least 1")
        if self.seed < 0:
            raise ValueError(f"seed={self.seed}: must be at least 0")
        data = {
            str(name): checked(str(name), examples, self.label_range)
            for name, examples in self.data.items()
        }
        first, *others = data
        for name in others:
            if signature(data[name]) != signature(data[first]):
                raise ValueError(
                    f"site {name!r} has examples {signature(data[name])}, site {first!r} "
                    f"{signature(data[first])}: shapes and dtypes must agree"
                )
        object.__setattr__(self, "data", data)

    @classmethod
    def from_npz(cls, folder: str | Path, batch_size: int, **options: Any) -> Self:
        """Reads a folder with one `<site>.npz` per site, each with the arrays `x` and `y`.

        Args:
            folder: of the files; sites are sorted by name.
            batch_size: B.
            **options: the other attributes.

        Raises:
            ValueError: when there is no file, a file is damaged, or one contains Python objects.
        """
        paths = sorted(Path(folder).glob("*.npz"))
        if not paths:
            raise ValueError(f"folder={str(folder)!r}: has no .npz files; write one per site")
        return cls({path.stem: read_npz(path) for path in paths}, batch_size, **options)

    @classmethod
    def from_tfds(
        cls,
        examples: Any,
        partition: Callable[[np.ndarray, np.ndarray], Any],
        batch_size: int,
        *,
        keys: tuple[str, str] = ("image", "label"),
        **options: Any,
    ) -> Self:
        """Deals the examples of a TFDS split to sites.

        Args:
            examples: what `tfds.load(..., split="train")` or `tfds.data_source(..., split="train")` returns;
                or a pair of arrays (x, y).
            partition: `(x, y) -> sites`, the site of each example: N names or numbers.
            batch_size: B.
            keys: the features that are x and y, for examples that are dicts.
            **options: the other attributes.

        Raises:
            ValueError: when a feature is missing, or `partition` returns another number of sites than N.

        >>> import numpy as np
        >>> x, y = np.zeros((6, 2), np.float32), np.array([0, 1, 2, 0, 1, 2])
        >>> Sites.from_tfds((x, y), lambda x, y: np.where(y < 2, "low", "high"), batch_size=2)
        Sites(high: 2, low: 4 examples, batches of 2)
        """
        x, y = columns(examples, keys)
        owner = np.asarray(partition(x, y))
        if owner.shape != (len(y),):
            raise ValueError(
                f"partition: returned shape {owner.shape}; must name the site of each of {len(y)} examples"
            )
        parts = {str(name): owner == name for name in np.unique(owner)}
        data = {name: (x[chosen], y[chosen]) for name, chosen in parts.items()}
        return cls(data, batch_size, **options)

    @property
    def names(self) -> tuple[str, ...]:
        """The sites' names, in the order of every array with an axis S."""
        return tuple(self.data)

    @property
    def sizes(self) -> dict[str, int]:
        """The number of examples by site."""
        return {name: count(examples) for name, examples in self.data.items()}

    def __len__(self) -> int:
        return len(self.data)

    def __repr__(self) -> str:
        sizes = ", ".join(f"{name}: {size}" for name, size in self.sizes.items())
        return f"Sites({sizes} examples, batches of {self.batch_size})"

    def batches(self, site: str, round_index: int, epochs: float = 1.0) -> Iterator[Batch]:
        """Yields the batches of a site's round.

        Args:
            site: its name.
            round_index: from 0.
            epochs: above 0; 0.5 is a random half of the examples, at least one.

        Yields:
            `Batch` with leaves [B, ...], NumPy arrays.

        Raises:
            ValueError: when the site is unknown, or `epochs` is not above 0.
        """
        x, y = self.data[self.known(site)]
        order = self._order(site, round_index, epochs)
        for begin in range(0, len(order), self.batch_size):
            rows = order[begin : begin + self.batch_size]
            mask = np.zeros(self.batch_size, np.float32)
            mask[: len(rows)] = 1
            rows = np.resize(rows, self.batch_size)  # padding repeats real examples
            take = lambda leaf, rows=rows: leaf[rows]  # noqa: E731
            yield Batch(jax.tree.map(take, x), jax.tree.map(take, y), mask)

    def stack(self, round_index: int, epochs: float = 1.0) -> Batch:
        """Stacks every site's batches of a round, for `whole_round`.

        Sites with fewer than T batches are padded with batches of mask 0.

        Returns:
            `Batch` with leaves [S, T, B, ...].

        >>> import numpy as np
        >>> sites = Sites({"a": (np.ones((5, 3)), np.zeros(5)), "b": (np.ones((2, 3)), np.ones(2))}, 2)
        >>> sites.stack(0).inputs.shape, sites.stack(0).mask.sum((1, 2)).tolist()
        ((2, 3, 2, 3), [5.0, 2.0])
        """
        rows = [list(self.batches(name, round_index, epochs)) for name in self.names]
        steps = max(map(len, rows))
        idle = jax.tree.map(np.zeros_like, rows[0][0])
        rows = [row + [idle] * (steps - len(row)) for row in rows]
        stack = lambda *leaves: np.stack(leaves)  # noqa: E731
        return jax.tree.map(stack, *[jax.tree.map(stack, *row) for row in rows])

    def steps(self, site: str, epochs: float = 1.0) -> int:
        """The number of batches of a site's round."""
        return math.ceil(self.examples(site, epochs) / self.batch_size)

    def examples(self, site: str, epochs: float = 1.0) -> int:
        """The number of examples of a site's round, repeats included."""
        if not 0 < epochs < math.inf:
            raise ValueError(f"epochs={epochs}: must be above 0, and finite")
        return max(1, round(epochs * (self.examples_per_epoch or self.sizes[site])))

    def known(self, site: str) -> str:
        """Returns the name of a site, or raises ValueError with the names that exist."""
        if site not in self.data:
            raise ValueError(f"site {site!r}: unknown; the sites are {', '.join(self.names)}")
        return site

    def _order(self, site: str, round_index: int, epochs: float) -> np.ndarray:
        size, total = self.sizes[site], self.examples(site, epochs)
        generator = np.random.default_rng((self.seed, round_index, zlib.crc32(site.encode())))
        passes = [generator.permutation(size) for _ in range(math.ceil(total / size))]
        return np.concatenate(passes)[:total]


def central(sites: Sites) -> Sites:
    """Pools all sites' examples at one site, `all`: the matched central training.

    An epoch has as many examples as one of the whole federation, so that the same number of rounds and epochs
    is the same budget. Train it with `keep_optimizer=True` where the optimiser has a state, which makes
    federated averaging over one site plain training.

    >>> import numpy as np
    >>> central(Sites({"a": (np.ones((5, 3)), np.zeros(5)), "b": (np.ones((2, 3)), np.ones(2))}, 2))
    Sites(all: 7 examples, batches of 2)
    """
    pooled = jax.tree.map(lambda *leaves: np.concatenate(leaves), *sites.data.values())
    return replace(sites, data={"all": pooled}, examples_per_epoch=_budget(sites))


def local(sites: Sites, site: str) -> Sites:
    """Keeps one site's examples: the matched local training.

    An epoch repeats them until it has as many examples as one of the whole federation, see `central`.

    >>> import numpy as np
    >>> both = Sites({"a": (np.ones((5, 3)), np.zeros(5)), "b": (np.ones((2, 3)), np.ones(2))}, 2)
    >>> local(both, "b"), local(both, "b").steps("b"), central(both).steps("all")
    (Sites(b: 2 examples, batches of 2), 4, 4)
    """
    data = {site: sites.data[sites.known(site)]}
    return replace(sites, data=data, examples_per_epoch=_budget(sites))


def _budget(sites: Sites) -> int:
    return sum(sites.examples_per_epoch or size for size in sites.sizes.values())
