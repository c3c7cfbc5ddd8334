"""From a folder of photos to aligned faces with landmarks, skin masks and a status for every photo."""
