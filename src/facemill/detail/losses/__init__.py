"""Loss terms of the detail layer: pure functions of tensors, one unweighted value per photo."""
