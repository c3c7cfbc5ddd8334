"""Training of the matching network: captures, patches, objective, task."""
