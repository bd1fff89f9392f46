// title: Products that sell more, or less, in a month than in another
// topic: sales
// param month: integer = 201711 — the month, yyyymm
// param before: integer = 201710 — the month to compare with
// param rising: boolean = true — true: those that gained most pieces first; false: those that lost most
// param k: integer = 20 — how many products
// column product: the product's id
// column title: its title
// column units: pieces sold in the month
// column units_before: pieces sold in the other
// column change: units less units_before
// reads: PURCHASED, Product.title
MATCH (:User)-[r:PURCHASED]->(p:Product)
WHERE p.recommendable AND (r.month = $month OR r.month = $before)
WITH p, sum(CASE WHEN r.month = $month THEN coalesce(r.quantity, 1) ELSE 0 END) AS units,
     sum(CASE WHEN r.month = $before THEN coalesce(r.quantity, 1) ELSE 0 END) AS units_before
WITH p, units, units_before, units - units_before AS change
RETURN p.id AS product, p.title AS title, units, units_before, change
ORDER BY CASE WHEN $rising THEN 0 - change ELSE change END, product
LIMIT $k
