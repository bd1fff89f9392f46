// title: Segments of users with their size and revenue
// topic: users
// column segment: the segment of the label enrichment
// column users: users of it
// column orders: their orders
// column revenue: what they spent
// column share: of all users' revenue
// reads: User.label_segment, User.label_spent, User.label_orders
MATCH (u:User)
WHERE u.label_segment IS NOT NULL
WITH u.label_segment AS segment, count(u) AS users, sum(coalesce(u.label_orders, 0)) AS orders,
     sum(coalesce(u.label_spent, 0.0)) AS revenue
WITH collect({segment: segment, users: users, orders: orders, revenue: revenue}) AS segments, sum(revenue) AS total
UNWIND segments AS one
RETURN one.segment AS segment, one.users AS users, one.orders AS orders, one.revenue AS revenue,
       CASE WHEN total > 0 THEN one.revenue / total ELSE 0.0 END AS share
ORDER BY revenue DESC, users DESC, segment
