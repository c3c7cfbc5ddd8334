"""Morphable models: the interface, the linear and bilinear kinds, their files, and the embedded head."""
