"""Programs: they parse flags, call `fl_jax.experiment` and print."""

import os

# For every program and its child processes: TensorFlow only feeds data, so its start-up messages are noise.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
