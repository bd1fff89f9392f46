// title: A user's published recommendations with their reasons
// topic: recommendations
// param user: string — the user's id
// column rank: place in the list, from 1
// column product: the product's id
// column title: its title
// column brand: its brand's name
// column score: what the model gave it
// column reason: why, in a sentence
// reads: Run, RECOMMENDED, Product.title
MATCH (run:Run)
WHERE run.current
MATCH (:User {id: $user})-[r:RECOMMENDED]->(p:Product)
WHERE r.run = run.id
OPTIONAL MATCH (p)-[:MADE_BY]->(b:Brand)
RETURN r.rank AS rank, p.id AS product, p.title AS title, b.name AS brand, r.score AS score, r.reason AS reason
ORDER BY rank
