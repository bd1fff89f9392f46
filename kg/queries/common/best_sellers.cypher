// title: Best sellers of a month
// topic: sales
// param month: integer = 201711 — the month, yyyymm
// param k: integer = 10 — how many products
// column product: the product's id
// column title: its title
// column units: pieces sold
// column buyers: different users who bought it
// column revenue: price times pieces
// reads: PURCHASED, Product.title
MATCH (u:User)-[r:PURCHASED {month: $month}]->(p:Product)
WHERE p.recommendable
WITH p, sum(coalesce(r.quantity, 1)) AS units, count(DISTINCT u.id) AS buyers,
     sum(coalesce(r.price, 0.0) * coalesce(r.quantity, 1)) AS revenue
RETURN p.id AS product, p.title AS title, units, buyers, revenue
ORDER BY buyers DESC, units DESC, product
LIMIT $k
