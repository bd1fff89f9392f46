// title: Share of a segment's buyers who buy of each price band, and what they spend there
// topic: prices
// param segment: string = champions — the users' segment
// column band: the price band within the category
// column products: bought products of the band
// column users: users of the segment who bought of it
// column penetration: their share of the segment's buyers
// column revenue: what the segment spent there
// reads: PURCHASED, User.label_segment, Product.label_price_band
MATCH (u:User {label_segment: $segment})-[:PURCHASED]->(:Product)
WITH count(DISTINCT u.id) AS buyers
MATCH (u:User {label_segment: $segment})-[r:PURCHASED]->(p:Product)
WHERE p.label_price_band IS NOT NULL
WITH buyers, p.label_price_band AS band, count(DISTINCT u.id) AS users, count(DISTINCT p.id) AS products,
     sum(coalesce(r.price, 0.0) * coalesce(r.quantity, 1)) AS revenue
RETURN band, products, users, users * 1.0 / buyers AS penetration, revenue
ORDER BY penetration DESC, band
