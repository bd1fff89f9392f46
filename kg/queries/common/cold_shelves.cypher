// title: Products that nobody has bought though others of their brand and category sell
// topic: products
// param min_purchases: integer = 1000 — least number of purchases of the brand in the category
// param k: integer = 20 — how many products
// column product: the product without a purchase
// column title: its title
// column category: the category's full path
// column brand: the brand's name
// column sellers: recommendable products of that brand and category that were bought
// column purchases: purchase lines of them
// reads: PURCHASED, IN_CATEGORY, MADE_BY, Product.title, Brand.name
MATCH (p:Product)
WHERE p.recommendable
OPTIONAL MATCH (p)<-[s:PURCHASED]-(:User)
WITH p, count(s) AS lines
MATCH (c:Category)<-[:IN_CATEGORY]-(p)-[:MADE_BY]->(b:Brand)
WITH c.id AS category, b.name AS brand, collect(CASE WHEN lines = 0 THEN p.id END) AS cold,
     sum(CASE WHEN lines > 0 THEN 1 ELSE 0 END) AS sellers, sum(lines) AS purchases
WHERE purchases >= $min_purchases
UNWIND cold AS id
MATCH (p:Product {id: id})
RETURN p.id AS product, p.title AS title, category, brand, sellers, purchases
ORDER BY purchases DESC, product, category
LIMIT $k
