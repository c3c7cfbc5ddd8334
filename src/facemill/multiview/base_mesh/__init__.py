"""The morphable model brought onto a capture: landmarks, outlines, photo-consistency, a smooth offset."""
