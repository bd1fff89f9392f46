"""Converters: each public data set into a folder of contract tables."""
