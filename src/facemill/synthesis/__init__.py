"""People, photographs, captures and scans with exact ground truth, made without licensed data."""
