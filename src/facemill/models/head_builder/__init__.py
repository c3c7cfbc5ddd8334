"""Building the embedded head from MakeHuman's CC0 base mesh and targets (see docs/build_head_model.md)."""
