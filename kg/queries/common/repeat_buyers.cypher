// title: Who buys a product again, and how often
// topic: users
// param product: string — the product's id
// param k: integer = 10 — how many users
// column user: the user's id
// column days: different days on which the user bought it
// column units: pieces bought
// column days_between: mean days from one such day to the next
// reads: PURCHASED
MATCH (u:User)-[r:PURCHASED]->(:Product {id: $product})
WITH u, count(DISTINCT r.day) AS days, sum(coalesce(r.quantity, 1)) AS units,
     min(r.day) AS first_day, max(r.day) AS last_day
WHERE days > 1
RETURN u.id AS user, days, units, (last_day - first_day) * 1.0 / (days - 1) AS days_between
ORDER BY days DESC, units DESC, user
LIMIT $k
