"""A sequence model over the slice features of one CT study: logits for every slice and for the study.

x_s         = [norm(f_s), gap to the slice below, gap above, height]      slices in order of z
c           = bidirectional GRU or Transformer encoder over x             padding masked out
slice logit = dense([x_s, c_s]),   study logit = dense([max over s of c_s, mean over s of c_s])

Cho et al., "Learning Phrase Representations using RNN Encoder-Decoder", EMNLP 2014; Vaswani et al.,
"Attention Is All You Need", NeurIPS 2017; Wang et al., NeuroImage: Clinical 2021; 32:102785 (a sequence model
over CNN features won the RSNA 2019 challenge).
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from fl_jax.core.types import LABELS, Study
from fl_jax.models.layers.norm import MOST_LAYERS

KINDS = ("gru", "transformer")
_GAP, _HEIGHT = 10.0, 100.0
"""Scales of gaps and heights, mm."""


class StudyHead(nn.Module):
    """See `study_head`."""

    kind: str
    hidden: int
    layers: int
    heads: int
    dropout: float
    labels: int

    @nn.compact
    def __call__(self, study: Study, *, train: bool = False) -> jax.Array:
        """Computes logits.

        Args:
            study: features float32[B, S, F], positions along z in mm and mask.
            train: apply dropout, with the random stream `dropout`.

        Returns:
            float32[B, 1 + S, L]: the study's logits, then one row per slice. Rows of padding are undefined.
        """
        real = jnp.asarray(study.mask, bool)[..., None]
        x = jnp.where(real, jnp.asarray(study.slices, jnp.float32), 0)
        x = nn.LayerNorm(name="norm")(x)
        x = nn.Dropout(self.dropout, deterministic=not train)(x)
        x = nn.Dense(self.hidden, name="embed")(jnp.concatenate([x, places(study)], -1))
        x = jnp.where(real, nn.gelu(x), 0)
        c = x
        for layer in range(self.layers):
            c = jnp.where(real, self._mixed(c, real[..., 0], train, layer), 0)
        c = nn.Dropout(self.dropout, deterministic=not train)(c)
        slices = nn.Dense(self.labels, name="slices")(jnp.concatenate([x, c], -1))
        most = jnp.where(real.any(1), jnp.where(real, c, -jnp.inf).max(1), 0)
        mean = c.sum(1) / jnp.maximum(real.sum(1), 1)
        whole = nn.Dense(self.labels, name="study")(jnp.concatenate([most, mean], -1))
        return jnp.concatenate([whole[:, None], slices], 1)

    def _mixed(self, x: jax.Array, real: jax.Array, train: bool, layer: int) -> jax.Array:
        """One layer over the slices, float32[B, S, hidden]; the caller masks its output at padding."""
        if self.kind == "gru":
            ways = [nn.RNN(nn.GRUCell(self.hidden // 2), name=f"{way}_{layer}") for way in WAYS]
            both = nn.Bidirectional(forward_rnn=ways[0], backward_rnn=ways[1], name=f"both_{layer}")
            return jnp.asarray(both(x, seq_lengths=real.sum(1)))
        attended = nn.MultiHeadDotProductAttention(
            self.heads, dropout_rate=self.dropout, deterministic=not train, name=f"attend_{layer}"
        )(nn.LayerNorm(name=f"before_{layer}")(x), mask=real[:, None, None, :])
        x = x + attended
        y = nn.Dense(2 * self.hidden, name=f"widen_{layer}")(
            nn.LayerNorm(name=f"between_{layer}")(x)
        )
        return x + nn.Dense(self.hidden, name=f"narrow_{layer}")(nn.gelu(y))


WAYS = ("up", "down")


def places(study: Study) -> jax.Array:
    """Computes each slice's place in its study.

    Returns:
        float32[B, S, 4]: gaps to the slices below and above in cm, 0 at the ends; distances to the lowest and
        the highest slice in dm. Padding is 0.
    """
    real = jnp.asarray(study.mask, bool)
    z = jnp.where(real, study.position, 0)
    step = jnp.where(real[:, 1:], jnp.diff(z, axis=1), 0)
    below, above = jnp.pad(step, ((0, 0), (1, 0))), jnp.pad(step, ((0, 0), (0, 1)))
    lowest = jnp.where(real, z, jnp.inf).min(1, keepdims=True)
    highest = jnp.where(real, z, -jnp.inf).max(1, keepdims=True)
    features = [below / _GAP, above / _GAP, (z - lowest) / _HEIGHT, (highest - z) / _HEIGHT]
    return jnp.where(real[..., None], jnp.stack(features, -1), 0)


def study_head(
    kind: str = "gru",
    hidden: int = 64,
    *,
    layers: int = 1,
    heads: int = 4,
    dropout: float = 0.2,
    labels: int = len(LABELS),
) -> StudyHead:
    """Builds the head.

    Args:
        kind: `'gru'` (bidirectional) or `'transformer'`.
        hidden: hidden units, a multiple of 2 and of `heads`.
        layers: 1 to `MOST_LAYERS`.
        heads: attention heads of the Transformer.
        dropout: dropout rate, in [0, 1).
        labels: L.

    Raises:
        ValueError: an argument is out of range.
    """
    if kind not in KINDS:
        raise ValueError(f"kind={kind!r}: must be one of {', '.join(KINDS)}")
    if hidden < 2 or hidden % 2 or heads < 1 or hidden % heads:
        raise ValueError(
            f"hidden={hidden}, heads={heads}: hidden must be a multiple of 2 and of heads"
        )
    if not 1 <= layers <= MOST_LAYERS or not 0 <= dropout < 1 or labels < 1:
        raise ValueError(
            f"layers={layers}, dropout={dropout}, labels={labels}: needs 1 to {MOST_LAYERS} layers, "
            "at least 1 label, and a dropout rate in [0, 1)"
        )
    return StudyHead(kind, hidden, layers, heads, dropout, labels)
