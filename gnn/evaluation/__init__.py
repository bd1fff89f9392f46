"""Reads the held-out part: the model, the baselines, anyone's lists, and the check for leaks."""
