"""Product search: words, spelling, meaning, names, and one list of them."""
