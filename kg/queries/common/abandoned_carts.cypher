// title: Products that are put into carts and left there
// topic: products
// about: Left there: the user has no purchase of the product at or after the last time of putting it into a cart.
// param min_carters: integer = 5 — least number of users who put it into a cart
// param k: integer = 20 — how many products
// column product: the product's id
// column title: its title
// column carters: users who put it into a cart
// column left_it: of them those who left it there
// column share: left_it per carter
// reads: CARTED.at, PURCHASED.at, Product.title
MATCH (u:User)-[c:CARTED]->(p:Product)
WHERE c.at IS NOT NULL
WITH u, p, max(c.at) AS carted
OPTIONAL MATCH (u)-[r:PURCHASED]->(p)
WHERE r.at >= carted
WITH u, p, count(r) AS bought
WITH p, count(u) AS carters, sum(CASE WHEN bought = 0 THEN 1 ELSE 0 END) AS left_it
WHERE carters >= $min_carters
RETURN p.id AS product, p.title AS title, carters, left_it, left_it * 1.0 / carters AS share
ORDER BY left_it DESC, product
LIMIT $k
