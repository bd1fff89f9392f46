"""What is asked and what may be known: events, splits, tasks, slices, variants, and what a recommender is."""
