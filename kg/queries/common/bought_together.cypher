// title: Products most often in one basket with a product, with lift
// param product: string — the product's id
// param min_baskets: integer = 5 — least number of baskets with both
// param k: integer = 10 — how many products
// reads: CONTAINS, Order, Product.title
MATCH (o:`Order`)
WITH count(o) AS baskets
MATCH (a:Product {id: $product})<-[:CONTAINS]-(o:`Order`)
WITH baskets, a, collect(DISTINCT o) AS mine
WITH baskets, a, mine, size(mine) AS of_product
UNWIND mine AS o
MATCH (o)-[:CONTAINS]->(b:Product)
WHERE b.id <> a.id AND b.recommendable
WITH baskets, of_product, b, count(DISTINCT o.id) AS both
WHERE both >= $min_baskets
WITH baskets, of_product, b, both
ORDER BY both DESC, b.id
LIMIT 200
MATCH (b)<-[:CONTAINS]-(o:`Order`)
WITH baskets, of_product, b, both, count(DISTINCT o.id) AS of_other
RETURN b.id AS product, b.title AS title, both, of_other AS baskets_of_it,
       both * 1.0 * baskets / (of_product * 1.0 * of_other) AS lift
ORDER BY lift DESC, both DESC, product
LIMIT $k
