"""Thin programs: flags in, library calls, logs and files out."""

import os

# Said once for every program and for the processes that it starts: TensorFlow only feeds data here, and
# what it prints while it loads says nothing to a reader.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
