// title: Products most often in one basket with a product: support, confidence, lift
// topic: baskets
// about: Of the 200 products that share most baskets with it, the k with the highest lift.
// param product: string — the product's id
// param min_baskets: integer = 5 — least number of baskets with both
// param k: integer = 10 — how many products
// column product: the other product's id
// column title: its title
// column both: baskets with both
// column baskets_of_it: baskets with the other product
// column support: baskets with both, of all baskets
// column confidence: baskets with both, of the baskets with the given product
// column lift: confidence divided by the other product's share of all baskets; 1 is chance
// reads: CONTAINS, Order, Product.title
MATCH (o:`Order`)
WITH count(o) AS baskets
MATCH (a:Product {id: $product})<-[:CONTAINS]-(o:`Order`)
WITH baskets, a, count(DISTINCT o.id) AS of_product
MATCH (a)<-[:CONTAINS]-(o:`Order`)-[:CONTAINS]->(b:Product)
WHERE b.id <> a.id AND b.recommendable
WITH baskets, of_product, b, count(DISTINCT o.id) AS both
WHERE both >= $min_baskets
WITH baskets, of_product, b, both
ORDER BY both DESC, b.id
LIMIT 200
MATCH (b)<-[:CONTAINS]-(o:`Order`)
WITH baskets, of_product, b, both, count(DISTINCT o.id) AS of_other
RETURN b.id AS product, b.title AS title, both, of_other AS baskets_of_it, both * 1.0 / baskets AS support,
       both * 1.0 / of_product AS confidence, both * 1.0 * baskets / (of_product * 1.0 * of_other) AS lift
ORDER BY lift DESC, both DESC, product
LIMIT $k
