"""Facemill: face photographs to measured 3-D faces. The library behind the Snakemake workflow."""
