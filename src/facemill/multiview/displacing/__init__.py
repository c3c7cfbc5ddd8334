"""The model's own mesh with the displacement that was found."""
