// title: How much of its purchases each segment makes below the usual price
// topic: prices
// about: A product's usual price is the median over its purchase lines. Products with a single line are left out.
// param segment: User property = label_segment — what users are told apart by, as in segment=age
// param discount: float = 0.1 — how far below the usual price a purchase is cheap, as a share of it
// column segment: the property's value
// column users: users of the segment with a purchase
// column lines: their purchase lines with a price
// column cheap_lines: of them those at the lower price
// column share: cheap_lines per line
// reads: PURCHASED, User
MATCH (:User)-[r:PURCHASED]->(p:Product)
WHERE r.price > 0
WITH p, count(r) AS n, percentileCont(r.price, 0.5) AS usual
WHERE n > 1
MATCH (u:User)-[r:PURCHASED]->(p)
WHERE r.price > 0 AND u[$segment] IS NOT NULL
WITH u[$segment] AS segment, count(DISTINCT u.id) AS users, count(r) AS lines,
     sum(CASE WHEN r.price <= usual * (1.0 - $discount) THEN 1 ELSE 0 END) AS cheap_lines
RETURN segment, users, lines, cheap_lines, cheap_lines * 1.0 / lines AS share
ORDER BY share DESC, segment
