"""The Neo4j store: the only package that imports the neo4j driver."""
