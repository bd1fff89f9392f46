// title: From view to cart to purchase, by product
// topic: products
// param min_viewers: integer = 10 — least number of users who viewed it
// param k: integer = 20 — how many products, the most viewed first
// column product: the product's id
// column title: its title
// column viewers: different users who viewed it
// column carters: different users who put it into a cart
// column buyers: different users who bought it
// column conversion: viewers who bought it, per viewer
// reads: VIEWED, CARTED, PURCHASED, Product.title
MATCH (u:User)-[:VIEWED]->(p:Product)
WITH p, count(DISTINCT u.id) AS viewers
WHERE viewers >= $min_viewers
WITH p, viewers
ORDER BY viewers DESC, p.id
LIMIT $k
OPTIONAL MATCH (c:User)-[:CARTED]->(p)
WITH p, viewers, count(DISTINCT c.id) AS carters
OPTIONAL MATCH (b:User)-[:PURCHASED]->(p)
WITH p, viewers, carters, count(DISTINCT b.id) AS buyers
OPTIONAL MATCH (v:User)-[:VIEWED]->(p)
WHERE EXISTS { MATCH (v)-[:PURCHASED]->(p) }
WITH p, viewers, carters, buyers, count(DISTINCT v.id) AS converted
RETURN p.id AS product, p.title AS title, viewers, carters, buyers, converted * 1.0 / viewers AS conversion
ORDER BY viewers DESC, product
