"""Several views of one face agree: multi-view terms of MGCNet (Shang et al. 2020), differentiable."""
