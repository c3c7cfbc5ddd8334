"""Texture of the whole atlas from all views of a capture."""
