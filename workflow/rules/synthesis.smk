# Photographs, captures and scans of people who do not exist, with exact ground truth.
