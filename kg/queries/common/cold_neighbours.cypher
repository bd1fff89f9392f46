// title: Products that nobody has bought beside similar ones that sell
// topic: products
// about: Similar as the current run wrote it (SIMILAR).
// param min_buyers: integer = 20 — least number of buyers of the similar product
// param k: integer = 20 — how many pairs
// column product: the product without a purchase
// column title: its title
// column neighbour: the similar product's id
// column neighbour_title: its title
// column score: how similar
// column buyers: users who bought the similar product
// reads: Run, SIMILAR, PURCHASED, Product.title
MATCH (run:Run)
WHERE run.current
MATCH (n:Product)<-[:PURCHASED]-(u:User)
WITH run.id AS current, n, count(DISTINCT u.id) AS buyers
WHERE buyers >= $min_buyers
MATCH (p:Product)-[s:SIMILAR]->(n)
WHERE s.run = current AND p.recommendable AND NOT EXISTS { MATCH (p)<-[:PURCHASED]-(:User) }
RETURN p.id AS product, p.title AS title, n.id AS neighbour, n.title AS neighbour_title, s.score AS score, buyers
ORDER BY score DESC, buyers DESC, product, neighbour
LIMIT $k
