"""Clean tables to a graph store, and the store to a snapshot: the room that knows Cypher."""
