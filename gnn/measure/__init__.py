"""Figures of ranked lists: order, metrics, intervals."""
