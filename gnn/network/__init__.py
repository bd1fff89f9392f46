"""The graph network: message graph, layers, objective, training loop, scores."""
