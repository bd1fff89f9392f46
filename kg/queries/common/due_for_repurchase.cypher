// title: Products that a user has bought again and again and is due to buy once more
// topic: users
// param user: string = 1 — the user's id
// param late: float = 3.0 — left out are products that have waited more than so many of their usual intervals
// param k: integer = 20 — how many products
// column product: the product's id
// column title: its title
// column days: different days on which the user bought it
// column days_since: days since the user's last purchase of it
// column usual_days: the product's usual days between two purchases
// column intervals: days_since in usual intervals
// reads: PURCHASED, Product.title, Product.label_repurchase_days
MATCH (:User)-[r:PURCHASED]->(:Product)
WITH max(r.day) AS today
MATCH (u:User {id: $user})-[r:PURCHASED]->(p:Product)
WHERE p.label_repurchase_days > 0 AND p.recommendable
WITH today, p, count(DISTINCT r.day) AS days, max(r.day) AS last_day
WITH p, days, today - last_day AS since, (today - last_day) * 1.0 / p.label_repurchase_days AS intervals
WHERE days > 1 AND intervals >= 1.0 AND intervals <= $late
RETURN p.id AS product, p.title AS title, days, since AS days_since, p.label_repurchase_days AS usual_days, intervals
ORDER BY intervals, days DESC, product
LIMIT $k
