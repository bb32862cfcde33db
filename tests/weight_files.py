"""State dicts with torchvision's names and layouts, and files of them, without PyTorch."""

import hashlib
import json
import re

import jax
import jax.numpy as jnp
import numpy as np
from flax import traverse_util

NAMES = {"kernel": "weight", "scale": "weight", "mean": "running_mean", "var": "running_var"}
TYPES = {"float64": "F64", "float32": "F32", "float16": "F16", "bfloat16": "BF16", "int64": "I64"}


def shapes(model, channels=3):
    return jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, 64, 64, channels)))


def state_dict(model):
    """Random arrays for a Flax model, as torchvision's own would save them."""
    found = {}
    for (collection, *path), leaf in traverse_util.flatten_dict(shapes(model)).items():
        shape = leaf.shape
        if path[-1] == "kernel":
            shape = (*shape[:1:-1], *shape[:2]) if len(shape) == 4 else shape[::-1]
        layers = [re.sub(r"_(?=\d)", ".", part) for part in path[:-1] if part[-6:] != "Norm_0"]
        name = ".".join([*layers, NAMES.get(path[-1], path[-1])])
        value = np.random.default_rng(len(found)).normal(size=shape).astype(np.float32)
        found[name] = abs(value) + 0.5 if path[-1] == "var" else value
        if collection == "batch_stats":
            found[name.rsplit(".", 1)[0] + ".num_batches_tracked"] = np.array(3)
    return found


def write(path, arrays):
    """Writes `.safetensors` by the published format, and returns its digest."""
    header, body = {"__metadata__": {"format": "pt"}}, []
    end = 0
    for name, value in arrays.items():
        begin, end = end, end + value.nbytes
        header[name] = {"dtype": TYPES[str(value.dtype)], "shape": value.shape}
        header[name]["data_offsets"] = [begin, end]
        body.append(value.tobytes())
    text = json.dumps(header).encode()
    path.write_bytes(b"".join([len(text).to_bytes(8, "little"), text, *body]))
    return hashlib.sha256(path.read_bytes()).hexdigest()
