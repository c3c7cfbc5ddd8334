"""Networks of the detail layer: from what a photo shows in the atlas to a displacement of each texel."""
