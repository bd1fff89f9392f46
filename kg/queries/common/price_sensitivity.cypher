// title: How the weekly sales of a category's products move with their price
// topic: prices
// about: Elasticity of a straight line through the weeks: its slope times mean price per mean pieces. -2 says that one
// about: per cent less price goes with two per cent more pieces. Weeks without a sale are not there, which pulls it
// about: towards 0; promotions and seasons are not told from the price. Left out are products whose price hardly
// about: moves (a standard deviation below 5 % of the mean).
// param category: string = GROCERY > SOFT DRINKS — the category's full path
// param min_weeks: integer = 20 — least number of weeks with a sale
// param k: integer = 20 — how many products, the most sensitive first
// column product: the product's id
// column title: its title
// column weeks: weeks (of seven days) with a sale
// column mean_price: mean over those weeks of the price per piece
// column lowest_price: the lowest of them
// column highest_price: the highest
// column weekly_units: mean pieces per week
// column elasticity: see above
// reads: PURCHASED, IN_CATEGORY, CHILD_OF, Product.title
MATCH (p:Product)-[:IN_CATEGORY]->(:Category)-[:CHILD_OF*0..10]->(:Category {id: $category})
WITH DISTINCT p
WHERE p.recommendable
MATCH (:User)-[r:PURCHASED]->(p)
WHERE r.price > 0 AND r.day IS NOT NULL
WITH p, r.day - r.day % 7 AS week, sum(coalesce(r.quantity, 1)) AS units,
     sum(r.price * coalesce(r.quantity, 1)) AS value
WHERE units > 0
WITH p, units * 1.0 AS units, value / units AS price
WITH p, count(*) AS weeks, avg(price) AS mean_price, min(price) AS lowest_price, max(price) AS highest_price,
     avg(units) AS weekly_units, avg(units * price) AS product_mean, avg(price * price) AS square_mean
WITH p, weeks, mean_price, lowest_price, highest_price, weekly_units,
     product_mean - weekly_units * mean_price AS covariance, square_mean - mean_price * mean_price AS variance
WHERE weeks >= $min_weeks AND variance > 0.0025 * mean_price * mean_price
RETURN p.id AS product, p.title AS title, weeks, mean_price, lowest_price, highest_price, weekly_units,
       covariance / variance * mean_price / weekly_units AS elasticity
ORDER BY elasticity, product
LIMIT $k
