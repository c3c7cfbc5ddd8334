"""Rasterising, shading and textures: from a mesh and a camera to pixels, and from a photo to a texture."""
