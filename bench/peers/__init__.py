"""Recommenders of others, each in an environment of its own, run on the same split as ours."""
