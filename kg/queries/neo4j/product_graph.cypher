// title: A product with its brand, categories, coupons and basket companions, to be drawn as a graph
// topic: products
// param product: string — the product's id
// param k: integer = 5 — how many coupons and companions
// column path: nodes and relationships
// reads: MADE_BY, IN_CATEGORY, CHILD_OF, APPLIES_TO, CONTAINS
MATCH path = (:Product {id: $product})-[:MADE_BY]->(:Brand)
RETURN path
UNION ALL
MATCH path = (:Product {id: $product})-[:IN_CATEGORY]->(:Category)-[:CHILD_OF*0..10]->(top:Category)
WHERE NOT EXISTS { MATCH (top)-[:CHILD_OF]->(:Category) }
RETURN path
UNION ALL
MATCH path = (:Product {id: $product})<-[:APPLIES_TO]-(c:Coupon)
WITH c, path ORDER BY c.id LIMIT $k
RETURN path
UNION ALL
MATCH (a:Product {id: $product})<-[:CONTAINS]-(o:Order)-[:CONTAINS]->(b:Product)
WHERE b <> a AND b.recommendable
WITH a, b, count(DISTINCT o) AS both, min(o.id) AS one
ORDER BY both DESC, b.id LIMIT $k
MATCH path = (a)<-[:CONTAINS]-(:Order {id: one})-[:CONTAINS]->(b)
RETURN path
