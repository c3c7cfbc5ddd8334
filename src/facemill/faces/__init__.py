"""A reconstructed face and its photo: decoded, posed, drawn, textured; what the stages of faces share."""
