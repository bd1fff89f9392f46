"""Loading, updating and reading the graph in both stores, beside what people write themselves."""
