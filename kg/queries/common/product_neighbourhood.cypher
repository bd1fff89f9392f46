// title: What surrounds a product: brand, categories, variants, coupons, baskets
// topic: products
// param product: string — the product's id
// param k: integer = 5 — how many variants, coupons and products of the same baskets
// column relation: how it is tied to the product
// column id: of the brand, category, variant, coupon or product
// column name: its name or title
// column weight: level of a category, products of a coupon, common baskets, else 1
// reads: MADE_BY, IN_CATEGORY, CHILD_OF, VARIANT_OF, APPLIES_TO, CONTAINS
MATCH (:Product {id: $product})-[:MADE_BY]->(b:Brand)
RETURN 'brand' AS relation, b.id AS id, b.name AS name, 1 AS weight
UNION ALL
MATCH (:Product {id: $product})-[:IN_CATEGORY]->(:Category)-[:CHILD_OF*0..10]->(c:Category)
RETURN 'category' AS relation, c.id AS id, c.name AS name, c.level AS weight
UNION ALL
MATCH (:Product {id: $product})-[:VARIANT_OF]->(v:Product)
RETURN 'variant of' AS relation, v.id AS id, v.title AS name, 1 AS weight
UNION ALL
MATCH (:Product {id: $product})<-[:APPLIES_TO]-(k:Coupon)
WITH k.id AS id, count(*) AS weight
ORDER BY weight DESC, id
LIMIT $k
RETURN 'coupon' AS relation, id, id AS name, weight
UNION ALL
MATCH (a:Product {id: $product})<-[:CONTAINS]-(o:`Order`)-[:CONTAINS]->(b:Product)
WHERE b.id <> a.id AND b.recommendable
WITH b.id AS id, b.title AS name, count(DISTINCT o.id) AS weight
ORDER BY weight DESC, id
LIMIT $k
RETURN 'in one basket' AS relation, id, name, weight
