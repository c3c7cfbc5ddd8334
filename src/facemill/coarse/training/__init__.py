"""Training of the coarse network: packed images, augmentation, objective and the loop."""
