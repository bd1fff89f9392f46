"""Node text to vectors: the only room that imports transformers."""
