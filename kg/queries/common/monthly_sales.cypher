// title: Sales by month: users, orders, units, revenue
// topic: sales
// column month: yyyymm
// column users: different buyers
// column orders: different orders
// column units: pieces sold
// column revenue: price times pieces
// reads: PURCHASED
MATCH (u:User)-[r:PURCHASED]->(:Product)
WITH r.month AS month, count(DISTINCT u.id) AS users, count(DISTINCT r.order_id) AS orders,
     sum(coalesce(r.quantity, 1)) AS units,
     sum(coalesce(r.price, 0.0) * coalesce(r.quantity, 1)) AS revenue
RETURN month, users, orders, units, revenue
ORDER BY month
