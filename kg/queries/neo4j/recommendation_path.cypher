// title: The path behind a recommendation, to be drawn as a graph
// topic: recommendations
// about: From the user over a product of their history to the recommended one, through the nodes that the model named.
// param user: string — the user's id
// param product: string — the recommended product's id
// param k: integer = 10 — how many paths
// column path: nodes and relationships
// reads: Run, RECOMMENDED.evidence, PURCHASED, MADE_BY, IN_CATEGORY, CHILD_OF
MATCH (run:Run)
WHERE run.current
MATCH (u:User {id: $user})-[r:RECOMMENDED]->(q:Product {id: $product})
WHERE r.run = run.id
MATCH path = (u)-[:PURCHASED]->(p:Product)-[:IN_CATEGORY|MADE_BY|CHILD_OF|PURCHASED*1..4]-(q)
WHERE p.id IN r.evidence AND all(n IN nodes(path) WHERE n.id IN r.evidence)
RETURN path
ORDER BY length(path)
LIMIT $k
