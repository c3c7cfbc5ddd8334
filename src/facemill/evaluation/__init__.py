"""Measuring: predictions against scans and landmarks, by the protocols that the field publishes with."""
