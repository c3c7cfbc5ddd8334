"""Face models that users bring, made into models of ours."""
