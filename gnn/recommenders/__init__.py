"""Recommenders beside the graph network, each fitted on a history."""
