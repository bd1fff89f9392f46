// title: Products first bought in a month, by their buyers in it
// param month: integer = 201711 — the month, yyyymm
// param k: integer = 20 — how many products
// reads: PURCHASED, Product.title
MATCH (u:User)-[r:PURCHASED]->(p:Product)
WHERE p.recommendable
WITH p, min(r.month) AS first_month, max(r.month) AS last_month, count(DISTINCT u.id) AS buyers, count(r) AS purchases
WHERE first_month = $month
RETURN p.id AS product, p.title AS title, buyers, purchases, last_month
ORDER BY buyers DESC, purchases DESC, product
LIMIT $k
