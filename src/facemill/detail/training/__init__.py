"""Training of the detail network: packed faces, objective and task."""
