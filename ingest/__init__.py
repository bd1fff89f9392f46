"""Raw sources to clean tables: reading, cleaning, quarantine and the quality report."""
