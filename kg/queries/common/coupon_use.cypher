// title: Coupons by how often they were redeemed
// topic: campaigns and coupons
// param k: integer = 20 — how many coupons
// column coupon: the coupon's id
// column redemptions: redemptions of it
// column redeemers: different users who redeemed it
// column products: products that it applies to
// column campaigns: campaigns that it is part of
// reads: REDEEMED, APPLIES_TO, PART_OF
MATCH (u:User)-[r:REDEEMED]->(c:Coupon)
WITH c, count(r) AS redemptions, count(DISTINCT u.id) AS redeemers
ORDER BY redemptions DESC, c.id
LIMIT $k
OPTIONAL MATCH (c)-[:APPLIES_TO]->(p:Product)
WITH c, redemptions, redeemers, count(DISTINCT p.id) AS products
OPTIONAL MATCH (c)-[:PART_OF]->(m:Campaign)
WITH c, redemptions, redeemers, products, count(DISTINCT m.id) AS campaigns
RETURN c.id AS coupon, redemptions, redeemers, products, campaigns
ORDER BY redemptions DESC, coupon
