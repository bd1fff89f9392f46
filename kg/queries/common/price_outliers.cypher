// title: Purchases whose price per piece is far from the product's median
// topic: data quality
// param times: float = 10.0 — how many times above or below the median
// param min_lines: integer = 5 — least number of purchase lines of a product
// param k: integer = 20 — how many purchases
// column product: the product's id
// column title: its title
// column user: who bought it
// column at: when
// column price: price per piece
// column median: median over the product's purchase lines
// reads: PURCHASED.at, Product.title
MATCH (:User)-[r:PURCHASED]->(p:Product)
WHERE r.price > 0
WITH p, count(r) AS n, percentileCont(r.price, 0.5) AS median, min(r.price) AS lowest, max(r.price) AS highest
WHERE n >= $min_lines AND (highest >= median * $times OR lowest * $times <= median)
MATCH (u:User)-[r:PURCHASED]->(p)
WHERE r.price > 0 AND (r.price >= median * $times OR r.price * $times <= median)
RETURN p.id AS product, p.title AS title, u.id AS user, r.at AS at, r.price AS price, median
ORDER BY CASE WHEN price > median THEN price / median ELSE median / price END DESC, product, user, at
LIMIT $k
