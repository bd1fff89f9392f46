// title: Users with the most events on one day: bots, shops, or test accounts
// topic: data quality
// param min_events: integer = 100 — least number of events on the day
// param k: integer = 20 — how many days
// column user: the user's id
// column first_at: the first event of the day
// column events: events of every kind
// column products: different products
// reads: PURCHASED.at, VIEWED, CARTED, CLICKED, REVIEWED
MATCH (u:User)-[r:PURCHASED|VIEWED|CARTED|CLICKED|REVIEWED]->(p:Product)
WHERE r.day IS NOT NULL
WITH u.id AS user, r.day AS day, count(r) AS events, count(DISTINCT p.id) AS products, min(r.at) AS first_at
WHERE events >= $min_events
RETURN user, first_at, events, products
ORDER BY events DESC, user, first_at
LIMIT $k
