"""Experiments: configuration, data, arms, training, checkpoints, prediction and evaluation."""
