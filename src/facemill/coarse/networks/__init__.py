"""Networks of the coarse stage: from a crop to coefficients, and from a face to who it is."""
