"""From matches with holes and outliers to one smooth surface: bending energy, and a learned 3D U-Net."""
