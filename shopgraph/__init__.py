"""shopgraph: the application that composes the rooms into commands."""

__version__ = "0.1.0"
