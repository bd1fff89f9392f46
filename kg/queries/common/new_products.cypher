// title: Products first bought in a month, by their buyers since
// topic: products
// param month: integer = 201711 — the month, yyyymm
// param k: integer = 20 — how many products
// column product: the product's id
// column title: its title
// column buyers: different users who have bought it up to today
// column purchases: purchase lines up to today
// column last_month: the last month in which it was bought, yyyymm
// reads: PURCHASED, Product.title
MATCH (u:User)-[r:PURCHASED]->(p:Product)
WHERE p.recommendable
WITH p, min(r.month) AS first_month, max(r.month) AS last_month, count(DISTINCT u.id) AS buyers, count(r) AS purchases
WHERE first_month = $month
RETURN p.id AS product, p.title AS title, buyers, purchases, last_month
ORDER BY buyers DESC, purchases DESC, product
LIMIT $k
