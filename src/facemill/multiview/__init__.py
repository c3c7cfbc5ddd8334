"""Captures: several calibrated photos of one head become a base mesh and its UV maps."""
