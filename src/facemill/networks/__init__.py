"""What networks of several stages share: restoring from files, residual blocks, the U-net of fine relief."""
