"""The trainer that the networks of all stages share: order, steps, checkpoints, journal."""
