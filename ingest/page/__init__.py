"""The quality report as a page for people."""
