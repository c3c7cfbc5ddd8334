"""Several photos of one person: grouping, one identity for all, and what is exported of a person."""
