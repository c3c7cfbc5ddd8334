"""Matching of views in UV space: the score of each texel at displacements along its normal."""
