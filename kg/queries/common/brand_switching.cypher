// title: Who changed their main brand of a category from before a month to since then
// topic: brands and categories
// about: A user's main brand of a period is the one of which they bought most pieces (of equals the first by name).
// about: Counted are users who bought of the category in both periods; those who stayed are there too.
// param category: string = GROCERY > SOFT DRINKS — the category's full path
// param month: integer = 201707 — the first month of the second period, yyyymm
// param k: integer = 20 — how many rows
// column brand_before: main brand before the month
// column brand_since: main brand from the month on
// column users: users who went this way
// column share: of the users with that brand before
// reads: PURCHASED, IN_CATEGORY, CHILD_OF, MADE_BY, Brand.name
MATCH (p:Product)-[:IN_CATEGORY]->(:Category)-[:CHILD_OF*0..10]->(:Category {id: $category})
WITH DISTINCT p
MATCH (p)-[:MADE_BY]->(b:Brand)
MATCH (u:User)-[r:PURCHASED]->(p)
WHERE r.month IS NOT NULL
WITH u, b.name AS brand, CASE WHEN r.month < $month THEN 0 ELSE 1 END AS period, sum(coalesce(r.quantity, 1)) AS units
WITH u, period, collect({brand: brand, units: units}) AS brands, max(units) AS most
UNWIND brands AS one
WITH u, period, one, most
WHERE one.units = most
WITH u, period, min(one.brand) AS brand
WITH u, min(CASE WHEN period = 0 THEN brand END) AS brand_before, min(CASE WHEN period = 1 THEN brand END) AS brand_since
WHERE brand_before IS NOT NULL AND brand_since IS NOT NULL
WITH brand_before, brand_since, count(u) AS users
WITH brand_before, sum(users) AS total, collect({brand: brand_since, users: users}) AS ways
UNWIND ways AS way
RETURN brand_before, way.brand AS brand_since, way.users AS users, way.users * 1.0 / total AS share
ORDER BY users DESC, brand_before, brand_since
LIMIT $k
