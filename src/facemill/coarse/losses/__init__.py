"""Losses of the coarse stage: one file a family, pure functions of tensors, one value per photo."""
