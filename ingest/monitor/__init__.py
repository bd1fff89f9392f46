"""What the clean tables hold, and how that has changed since the build before."""
