// title: A user's published recommendations with their reasons
// param user: string — the user's id
// reads: Run, RECOMMENDED, Product.title
MATCH (run:Run)
WHERE run.current
MATCH (:User {id: $user})-[r:RECOMMENDED]->(p:Product)
WHERE r.run = run.id
OPTIONAL MATCH (p)-[:MADE_BY]->(b:Brand)
RETURN r.rank AS rank, p.id AS product, p.title AS title, b.name AS brand, r.score AS score, r.reason AS reason
ORDER BY rank
