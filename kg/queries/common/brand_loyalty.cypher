// title: Brands of a category by their buyers' loyalty: sole buyers and share of wallet
// topic: brands and categories
// param category: string = GROCERY > SOFT DRINKS — the category's full path
// param min_buyers: integer = 50 — least number of buyers of a brand
// param k: integer = 20 — how many brands
// column brand: the brand's name
// column buyers: users who bought it in the category
// column sole_buyers: of them those who bought no other brand there
// column sole_share: sole_buyers per buyer
// column share_of_wallet: of all that its buyers spent in the category, the part spent on it
// reads: PURCHASED, IN_CATEGORY, CHILD_OF, MADE_BY, Brand.name
MATCH (p:Product)-[:IN_CATEGORY]->(:Category)-[:CHILD_OF*0..10]->(:Category {id: $category})
WITH DISTINCT p
MATCH (p)-[:MADE_BY]->(b:Brand)
MATCH (u:User)-[r:PURCHASED]->(p)
WITH u, b.name AS brand, sum(coalesce(r.price, 0.0) * coalesce(r.quantity, 1)) AS spent
WITH u, collect({brand: brand, spent: spent}) AS brands, sum(spent) AS total
WITH brands, total, size(brands) AS n
UNWIND brands AS one
WITH one.brand AS brand, count(*) AS buyers, sum(CASE WHEN n = 1 THEN 1 ELSE 0 END) AS sole_buyers,
     sum(one.spent) AS spent, sum(total) AS wallet
WHERE buyers >= $min_buyers
RETURN brand, buyers, sole_buyers, sole_buyers * 1.0 / buyers AS sole_share,
       CASE WHEN wallet > 0 THEN spent / wallet ELSE 0.0 END AS share_of_wallet
ORDER BY share_of_wallet DESC, brand
LIMIT $k
