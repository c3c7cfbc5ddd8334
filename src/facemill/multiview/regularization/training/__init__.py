"""Training of the learned regulariser."""
