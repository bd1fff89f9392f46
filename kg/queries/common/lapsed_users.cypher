// title: Good customers who have not ordered for a while
// topic: users
// param days: integer = 60 — days without an order before the last day of the data
// param min_orders: integer = 20 — least number of orders before
// param k: integer = 20 — how many users
// column user: the user's id
// column orders: orders so far
// column days_since: days from the last order to the last day of the data
// reads: PLACED, Order.day
MATCH (o:`Order`)
WITH max(o.day) AS today
MATCH (u:User)-[:PLACED]->(o:`Order`)
WITH today, u, count(o) AS orders, max(o.day) AS last_day
WHERE orders >= $min_orders AND today - last_day >= $days
RETURN u.id AS user, orders, today - last_day AS days_since
ORDER BY orders DESC, user
LIMIT $k
