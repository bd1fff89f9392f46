// title: What is missing: products without title, brand, category or sale, users without events, lines without a price
// topic: data quality
// column probe: what was looked for
// column found: how many
// column total: of how many
// reads: Product.title, Product.price, MADE_BY, IN_CATEGORY, PURCHASED, CONTAINS, APPLIES_TO
MATCH (p:Product)
RETURN 'products without a title' AS probe, coalesce(sum(CASE WHEN p.title IS NULL THEN 1 ELSE 0 END), 0) AS found,
       count(p) AS total
UNION ALL
MATCH (p:Product)
RETURN 'products without a list price' AS probe,
       coalesce(sum(CASE WHEN p.price IS NULL THEN 1 ELSE 0 END), 0) AS found, count(p) AS total
UNION ALL
MATCH (p:Product)
OPTIONAL MATCH (p)-[r:MADE_BY]->(:Brand)
WITH p, count(r) AS n
RETURN 'products without a brand' AS probe, coalesce(sum(CASE WHEN n = 0 THEN 1 ELSE 0 END), 0) AS found,
       count(p) AS total
UNION ALL
MATCH (p:Product)
OPTIONAL MATCH (p)-[r:IN_CATEGORY]->(:Category)
WITH p, count(r) AS n
RETURN 'products without a category' AS probe, coalesce(sum(CASE WHEN n = 0 THEN 1 ELSE 0 END), 0) AS found,
       count(p) AS total
UNION ALL
MATCH (p:Product)
OPTIONAL MATCH (p)<-[r:PURCHASED]-(:User)
WITH p, count(r) AS n
RETURN 'products without a purchase' AS probe, coalesce(sum(CASE WHEN n = 0 THEN 1 ELSE 0 END), 0) AS found,
       count(p) AS total
UNION ALL
MATCH (u:User)
OPTIONAL MATCH (u)-[r:PURCHASED|VIEWED|CARTED|CLICKED|SAW|REVIEWED|WISHED|RETURNED]->(:Product)
WITH u, count(r) AS n
RETURN 'users without an event' AS probe, coalesce(sum(CASE WHEN n = 0 THEN 1 ELSE 0 END), 0) AS found,
       count(u) AS total
UNION ALL
MATCH (:User)-[r:PURCHASED]->(:Product)
RETURN 'purchases without a price' AS probe, coalesce(sum(CASE WHEN r.price IS NULL THEN 1 ELSE 0 END), 0) AS found,
       count(r) AS total
UNION ALL
MATCH (:User)-[r:PURCHASED]->(:Product)
RETURN 'purchases without a time' AS probe, coalesce(sum(CASE WHEN r.at IS NULL THEN 1 ELSE 0 END), 0) AS found,
       count(r) AS total
UNION ALL
MATCH (:User)-[r:PURCHASED]->(:Product)
RETURN 'purchases without an order' AS probe,
       coalesce(sum(CASE WHEN r.order_id IS NULL THEN 1 ELSE 0 END), 0) AS found, count(r) AS total
UNION ALL
MATCH (c:Coupon)
OPTIONAL MATCH (c)-[r:APPLIES_TO]->(:Product)
WITH c, count(r) AS n
RETURN 'coupons without a product' AS probe, coalesce(sum(CASE WHEN n = 0 THEN 1 ELSE 0 END), 0) AS found,
       count(c) AS total
