// title: How regularly users order: mean and spread of the days between orders
// topic: users
// param min_orders: integer = 20 — least number of orders
// param k: integer = 20 — how many users
// column user: the user's id
// column orders: different days with an order
// column mean_days: mean days between two of them
// column spread_days: their standard deviation
// reads: PLACED, Order.day
MATCH (u:User)-[:PLACED]->(o:Order)
WITH u, o.day AS day ORDER BY day
WITH u, collect(DISTINCT day) AS days
WHERE size(days) >= $min_orders
UNWIND range(1, size(days) - 1) AS i
WITH u, size(days) AS orders, days[i] - days[i - 1] AS gap
RETURN u.id AS user, orders, avg(gap) AS mean_days, stDev(gap) AS spread_days
ORDER BY spread_days, user
LIMIT $k
