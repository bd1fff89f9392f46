// title: The products that are recommended to most users, beside how many buy them
// topic: recommendations
// param k: integer = 20 — how many products
// column product: the product's id
// column title: its title
// column users: users who have it in their list
// column share: of all users with a list
// column mean_rank: mean place in the list
// column buyers: users who bought it
// reads: Run, RECOMMENDED, PURCHASED, Product.title
MATCH (run:Run)
WHERE run.current
MATCH (u:User)-[r:RECOMMENDED]->(:Product)
WHERE r.run = run.id
WITH run.id AS current, count(DISTINCT u.id) AS everyone
MATCH (u:User)-[r:RECOMMENDED]->(p:Product)
WHERE r.run = current
WITH everyone, p, count(DISTINCT u.id) AS users, avg(r.rank) AS mean_rank
ORDER BY users DESC, p.id
LIMIT $k
OPTIONAL MATCH (v:User)-[:PURCHASED]->(p)
WITH everyone, p, users, mean_rank, count(DISTINCT v.id) AS buyers
RETURN p.id AS product, p.title AS title, users, users * 1.0 / everyone AS share, mean_rank, buyers
ORDER BY users DESC, product
