// title: Baskets, lines and value per basket by store
// topic: baskets
// param min_baskets: integer = 100 — least number of baskets of a store
// param k: integer = 20 — how many stores
// column store: the store
// column baskets: baskets of the store
// column lines: mean number of lines of a basket
// column value: mean value of a basket
// column median_value: median value of a basket
// reads: CONTAINS, Order.store
MATCH (o:`Order`)-[c:CONTAINS]->(:Product)
WITH o, count(c) AS lines, sum(coalesce(c.price, 0.0) * coalesce(c.quantity, 1)) AS value
WITH o.store AS store, count(o) AS baskets, avg(lines) AS lines, avg(value) AS value,
     percentileCont(value, 0.5) AS median_value
WHERE baskets >= $min_baskets
RETURN store, baskets, lines, value, median_value
ORDER BY baskets DESC, store
LIMIT $k
