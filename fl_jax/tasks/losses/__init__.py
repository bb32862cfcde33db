"""What binary labels' logits are judged by in training; one file a loss."""
