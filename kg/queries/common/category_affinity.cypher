// title: Categories of one level that lie in the same baskets: support, lift
// topic: baskets
// param level: integer = 1 — level of the category tree, 1 is the top
// param min_baskets: integer = 500 — least number of baskets with both
// param k: integer = 20 — how many pairs
// column category: a category's full path
// column other: the other's
// column both: baskets with both
// column support: baskets with both, of all baskets
// column confidence: baskets with both, of those with the first
// column confidence_back: baskets with both, of those with the other
// column lift: support divided by the product of both categories' shares of the baskets; 1 is chance
// reads: CONTAINS, IN_CATEGORY, CHILD_OF, Category.level
MATCH (o:`Order`)
WITH count(o) AS baskets
MATCH (p:Product)-[:IN_CATEGORY]->(:Category)-[:CHILD_OF*0..10]->(c:Category {level: $level})
WITH DISTINCT baskets, p, c
MATCH (p)<-[:CONTAINS]-(o:`Order`)
WITH baskets, o.id AS o, collect(DISTINCT c.id) AS categories
UNWIND categories AS a
UNWIND categories AS b
WITH baskets, a, b
WHERE a <= b
WITH baskets, a, b, count(*) AS n
WHERE n >= $min_baskets
WITH baskets, collect(CASE WHEN a = b THEN {id: a, n: n} END) AS alone,
     collect(CASE WHEN a < b THEN {a: a, b: b, n: n} END) AS pairs
UNWIND pairs AS pair
UNWIND alone AS first
WITH baskets, pair, first, alone
WHERE first.id = pair.a
UNWIND alone AS second
WITH baskets, pair, first.n AS of_a, second
WHERE second.id = pair.b
RETURN pair.a AS category, pair.b AS other, pair.n AS both, pair.n * 1.0 / baskets AS support,
       pair.n * 1.0 / of_a AS confidence, pair.n * 1.0 / second.n AS confidence_back,
       pair.n * 1.0 * baskets / (of_a * 1.0 * second.n) AS lift
ORDER BY lift DESC, category, other
LIMIT $k
