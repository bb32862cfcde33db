"""Pretrained weights: PyTorch state dicts read from files and converted to Flax variables."""
