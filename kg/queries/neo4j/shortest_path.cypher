// title: A shortest way between two products over brands, categories, coupons and variants
// topic: products
// param product: string — id of the first product
// param other: string — id of the second product
// column step: 0 at the first product
// column over: the relationship from the step before
// column kind: label of the node
// column id: of the node
// column name: its title or name
// reads: MADE_BY, IN_CATEGORY, CHILD_OF, VARIANT_OF, APPLIES_TO
MATCH p = shortestPath(
  (:Product {id: $product})-[:MADE_BY|IN_CATEGORY|CHILD_OF|VARIANT_OF|APPLIES_TO*..12]-(:Product {id: $other}))
UNWIND range(0, length(p)) AS step
WITH step, nodes(p)[step] AS n, CASE WHEN step > 0 THEN type(relationships(p)[step - 1]) END AS over
RETURN step, over, labels(n)[0] AS kind, n.id AS id, coalesce(n.title, n.name) AS name
ORDER BY step
