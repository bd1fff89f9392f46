// title: Rules "who takes this also takes that" of a month's baskets: support, confidence, lift
// topic: baskets
// about: Every ordered pair of products that at least min_baskets baskets of the month hold together.
// param month: integer = 201711 — the month, yyyymm
// param min_baskets: integer = 30 — least number of baskets with both
// param k: integer = 20 — how many rules
// column product: the product that is taken
// column title: its title
// column other: the product that is taken with it
// column other_title: its title
// column both: baskets with both
// column support: baskets with both, of all baskets of the month
// column confidence: baskets with both, of the baskets with the first
// column lift: confidence divided by the other's share of all baskets; 1 is chance
// reads: CONTAINS, Order.month, Product.title
MATCH (o:`Order` {month: $month})
WITH count(o) AS baskets
MATCH (o:`Order` {month: $month})-[:CONTAINS]->(p:Product)
WHERE p.recommendable
WITH baskets, p.id AS id, collect(DISTINCT o.id) AS its
WHERE size(its) >= $min_baskets
UNWIND its AS o
WITH baskets, o, collect(id) AS items
UNWIND items AS one
UNWIND items AS two
WITH baskets, one, two
WHERE one <> two
WITH baskets, one, two, count(*) AS both
WHERE both >= $min_baskets
MATCH (a:Product {id: one})<-[:CONTAINS]-(o:`Order`)
WHERE o.month = $month
WITH baskets, a, two, both, count(DISTINCT o.id) AS of_one
MATCH (b:Product {id: two})<-[:CONTAINS]-(o:`Order`)
WHERE o.month = $month
WITH baskets, a, b, both, of_one, count(DISTINCT o.id) AS of_two
RETURN a.id AS product, a.title AS title, b.id AS other, b.title AS other_title, both,
       both * 1.0 / baskets AS support, both * 1.0 / of_one AS confidence,
       both * 1.0 * baskets / (of_one * 1.0 * of_two) AS lift
ORDER BY lift DESC, confidence DESC, product, other
LIMIT $k
