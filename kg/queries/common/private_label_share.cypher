// title: Private label's share of revenue by top category
// topic: brands and categories
// param k: integer = 20 — how many categories
// column category: a category of the top level
// column revenue: price times pieces
// column private_revenue: of it with private labels
// column share: private_revenue per revenue
// reads: PURCHASED, IN_CATEGORY, CHILD_OF, Category.level, Product.brand_kind
MATCH (p:Product)<-[r:PURCHASED]-(:User)
WITH p, sum(coalesce(r.price, 0.0) * coalesce(r.quantity, 1)) AS revenue
MATCH (p)-[:IN_CATEGORY]->(:Category)-[:CHILD_OF*0..10]->(c:Category {level: 1})
WITH c, sum(revenue) AS revenue, sum(CASE WHEN p.brand_kind = 'Private' THEN revenue ELSE 0.0 END) AS private_revenue
RETURN c.id AS category, revenue, private_revenue,
       CASE WHEN revenue > 0 THEN private_revenue / revenue ELSE 0.0 END AS share
ORDER BY revenue DESC, category
LIMIT $k
