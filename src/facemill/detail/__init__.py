"""The detail layer: wrinkles and folds as a displacement map on the coarse face, in its model's atlas."""
