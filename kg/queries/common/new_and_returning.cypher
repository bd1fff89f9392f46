// title: New and returning buyers by month, with what they spent
// topic: users
// column month: yyyymm
// column new_users: users whose first purchase lies in the month
// column returning_users: buyers who had bought in an earlier month
// column new_revenue: what the new ones spent in the month
// column returning_revenue: what the returning ones spent
// reads: PURCHASED
MATCH (u:User)-[r:PURCHASED]->(:Product)
WHERE r.month IS NOT NULL
WITH u.id AS user, r.month AS month, sum(coalesce(r.price, 0.0) * coalesce(r.quantity, 1)) AS spent
WITH user, min(month) AS first_month, collect({month: month, spent: spent}) AS months
UNWIND months AS one
WITH one.month AS month, one.spent AS spent, CASE WHEN one.month = first_month THEN 1 ELSE 0 END AS fresh
RETURN month, sum(fresh) AS new_users, sum(1 - fresh) AS returning_users,
       sum(CASE WHEN fresh = 1 THEN spent ELSE 0.0 END) AS new_revenue,
       sum(CASE WHEN fresh = 0 THEN spent ELSE 0.0 END) AS returning_revenue
ORDER BY month
