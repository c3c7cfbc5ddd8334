"""Readers and writers of foreign files: meshes, Deep3D coefficients, landmarks, captures."""
