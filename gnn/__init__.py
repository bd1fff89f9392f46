"""Snapshot and text vectors to a link predictor: splits, models, metrics, recommendations and reasons."""
