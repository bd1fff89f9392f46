// title: How many users and products the published recommendations reach, and how concentrated they are
// topic: recommendations
// about: Gini over all products that may be recommended, those that are in no list included: 0 where each is in as
// about: many lists as every other, near 1 where few products fill them all.
// column users: users of the graph
// column users_with: users with a list
// column products: products that may be recommended
// column products_in: products in a list
// column coverage: products_in per product
// column recommendations: all places of all lists
// column gini: concentration
// reads: Run, RECOMMENDED
MATCH (run:Run)
WHERE run.current
MATCH (u:User)
WITH run.id AS current, count(u) AS users
MATCH (p:Product)
WHERE p.recommendable
WITH current, users, count(p) AS products
MATCH (u:User)-[r:RECOMMENDED]->(:Product)
WHERE r.run = current
WITH current, users, products, count(DISTINCT u.id) AS users_with
MATCH (:User)-[r:RECOMMENDED]->(p:Product)
WHERE r.run = current AND p.recommendable
WITH users, products, users_with, p.id AS id, count(r) AS times
WITH users, products, users_with, times, count(id) AS n
WITH users, products, users_with, collect({times: times, n: n}) AS groups, sum(n) AS products_in,
     sum(n * times) AS total
UNWIND groups AS a
UNWIND groups AS b
WITH users, products, users_with, products_in, total, sum(a.n * b.n * abs(a.times - b.times)) AS apart
RETURN users, users_with, products, products_in, products_in * 1.0 / products AS coverage, total AS recommendations,
       (apart + 2.0 * (products - products_in) * total) / (2.0 * products * total) AS gini
