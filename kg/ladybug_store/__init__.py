"""The embedded store: the only package that imports ladybug."""
