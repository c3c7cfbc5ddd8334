"""What networks of several stages share: how files restore them, and the network of fine relief."""
