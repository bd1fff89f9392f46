// title: Revenue, units and buyers per category of one level
// topic: sales
// param level: integer = 1 — level of the category tree, 1 is the top
// param k: integer = 20 — how many categories
// column category: the category's full path
// column products: bought products in it or below it
// column purchases: purchase lines
// column units: pieces sold
// column revenue: price times pieces
// reads: PURCHASED, IN_CATEGORY, CHILD_OF, Category.level
MATCH (p:Product)<-[r:PURCHASED]-(:User)
WITH p, sum(coalesce(r.price, 0.0) * coalesce(r.quantity, 1)) AS revenue,
     sum(coalesce(r.quantity, 1)) AS units, count(r) AS events
MATCH (p)-[:IN_CATEGORY]->(:Category)-[:CHILD_OF*0..10]->(c:Category {level: $level})
RETURN c.id AS category, count(DISTINCT p.id) AS products, sum(events) AS purchases, sum(units) AS units,
       sum(revenue) AS revenue
ORDER BY revenue DESC, category
LIMIT $k
