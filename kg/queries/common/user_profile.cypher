// title: What a user buys: top categories, brands and products by spending
// topic: users
// about: A category counts what lies below it too: those of the top level are shown.
// param user: string = 1 — the user's id
// param k: integer = 5 — how many of each
// column kind: category, brand or product
// column id: its id
// column name: its name or title
// column days: days on which the user bought of it
// column units: pieces bought
// column revenue: price times pieces
// reads: PURCHASED, IN_CATEGORY, CHILD_OF, MADE_BY, Product.title, Brand.name, Category.name
MATCH (:User {id: $user})-[r:PURCHASED]->(p:Product)
MATCH (p)-[:IN_CATEGORY]->(:Category)-[:CHILD_OF*0..10]->(c:Category {level: 1})
WITH DISTINCT r, c
WITH c.id AS id, c.name AS name, count(DISTINCT r.day) AS days, sum(coalesce(r.quantity, 1)) AS units,
     sum(coalesce(r.price, 0.0) * coalesce(r.quantity, 1)) AS revenue
ORDER BY revenue DESC, id
LIMIT $k
RETURN 'category' AS kind, id, name, days, units, revenue
UNION ALL
MATCH (:User {id: $user})-[r:PURCHASED]->(p:Product)
MATCH (p)-[:MADE_BY]->(b:Brand)
WITH b.id AS id, b.name AS name, count(DISTINCT r.day) AS days, sum(coalesce(r.quantity, 1)) AS units,
     sum(coalesce(r.price, 0.0) * coalesce(r.quantity, 1)) AS revenue
ORDER BY revenue DESC, id
LIMIT $k
RETURN 'brand' AS kind, id, name, days, units, revenue
UNION ALL
MATCH (:User {id: $user})-[r:PURCHASED]->(p:Product)
WITH p.id AS id, p.title AS name, count(DISTINCT r.day) AS days, sum(coalesce(r.quantity, 1)) AS units,
     sum(coalesce(r.price, 0.0) * coalesce(r.quantity, 1)) AS revenue
ORDER BY revenue DESC, id
LIMIT $k
RETURN 'product' AS kind, id, name, days, units, revenue
