// title: Products of the same category that the same users buy, but seldom in the same basket
// topic: baskets
// about: Lift among users far above the lift among baskets is the mark of a substitute; the rows are sorted by the
// about: difference.
// param product: string — the product's id
// param min_buyers: integer = 20 — least number of users who bought both
// param k: integer = 10 — how many products
// column product: the other product's id
// column title: its title
// column both_users: users who bought both
// column both_baskets: baskets with both
// column user_lift: users who bought both, divided by what chance would give
// column basket_lift: baskets with both, divided by what chance would give
// reads: PURCHASED, CONTAINS, IN_CATEGORY, Product.title
MATCH (o:`Order`)
WITH count(o) AS baskets
MATCH (u:User)
WHERE EXISTS { MATCH (u)-[:PURCHASED]->(:Product) }
WITH baskets, count(u) AS users
MATCH (:Product {id: $product})<-[:CONTAINS]-(o:`Order`)
WITH baskets, users, count(DISTINCT o.id) AS baskets_a
MATCH (:Product {id: $product})<-[:PURCHASED]-(u:User)
WITH baskets, users, baskets_a, count(DISTINCT u.id) AS users_a
MATCH (a:Product {id: $product})-[:IN_CATEGORY]->(:Category)<-[:IN_CATEGORY]-(b:Product)
WHERE b.id <> a.id AND b.recommendable
WITH DISTINCT baskets, users, a, baskets_a, users_a, b
MATCH (b)<-[:PURCHASED]-(v:User)
WITH DISTINCT baskets, users, a, baskets_a, users_a, b, v
OPTIONAL MATCH (v)-[r:PURCHASED]->(a)
WITH baskets, users, a, baskets_a, users_a, b, v, count(r) AS n
WITH baskets, users, a, baskets_a, users_a, b, count(v) AS users_b, sum(CASE WHEN n > 0 THEN 1 ELSE 0 END) AS both_users
WHERE both_users >= $min_buyers
MATCH (b)<-[:CONTAINS]-(o:`Order`)
WITH DISTINCT baskets, users, a, baskets_a, users_a, b, users_b, both_users, o
OPTIONAL MATCH (o)-[c:CONTAINS]->(a)
WITH baskets, users, baskets_a, users_a, b, users_b, both_users, o, count(c) AS n
WITH baskets, users, baskets_a, users_a, b, users_b, both_users, count(o) AS baskets_b,
     sum(CASE WHEN n > 0 THEN 1 ELSE 0 END) AS both_baskets
WITH b, both_users, both_baskets, both_users * 1.0 * users / (users_a * 1.0 * users_b) AS user_lift,
     both_baskets * 1.0 * baskets / (baskets_a * 1.0 * baskets_b) AS basket_lift
RETURN b.id AS product, b.title AS title, both_users, both_baskets, user_lift, basket_lift
ORDER BY user_lift - basket_lift DESC, product
LIMIT $k
