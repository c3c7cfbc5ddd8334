"""Cameras, rotations, similarities, images as sampled functions, meshes and their atlases."""
