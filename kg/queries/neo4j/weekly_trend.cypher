// title: Sales of a category by week
// topic: sales
// param category: string = GROCERY > SOFT DRINKS — the category's full path
// column week: its Monday
// column users: different buyers
// column units: pieces sold
// column revenue: price times pieces
// reads: PURCHASED.at, IN_CATEGORY, CHILD_OF
MATCH (p:Product)-[:IN_CATEGORY]->(:Category)-[:CHILD_OF*0..10]->(:Category {id: $category})
WITH DISTINCT p
MATCH (u:User)-[r:PURCHASED]->(p)
WITH date.truncate('week', r.at) AS week, u, r
RETURN toString(week) AS week, count(DISTINCT u) AS users, sum(coalesce(r.quantity, 1)) AS units,
       sum(coalesce(r.price, 0.0) * coalesce(r.quantity, 1)) AS revenue
ORDER BY week
