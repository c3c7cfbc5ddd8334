"""One photo to one face: coefficients of a morphable model by fitting, and what they export to."""
