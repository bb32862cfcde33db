"""Pretrained weights: state dicts from files, what they are in Flax, which of them are trained on."""
