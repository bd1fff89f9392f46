// title: Brands of a category with their share of its revenue
// topic: brands and categories
// param category: string = GROCERY > SOFT DRINKS — the category's full path
// param k: integer = 10 — how many brands
// column brand: the brand's name
// column products: bought products of the brand in the category
// column units: pieces sold
// column revenue: price times pieces
// column share: of the revenue of all brands in the category
// reads: PURCHASED, IN_CATEGORY, CHILD_OF, MADE_BY, Brand.name
MATCH (p:Product)-[:IN_CATEGORY]->(:Category)-[:CHILD_OF*0..10]->(:Category {id: $category})
WITH DISTINCT p
MATCH (p)<-[r:PURCHASED]-(:User)
WITH p, sum(coalesce(r.price, 0.0) * coalesce(r.quantity, 1)) AS revenue, sum(coalesce(r.quantity, 1)) AS units
MATCH (p)-[:MADE_BY]->(b:Brand)
WITH b, sum(revenue) AS revenue, sum(units) AS units, count(p) AS products
WITH collect({brand: b.name, products: products, units: units, revenue: revenue}) AS brands, sum(revenue) AS total
UNWIND brands AS one
RETURN one.brand AS brand, one.products AS products, one.units AS units, one.revenue AS revenue,
       CASE WHEN total > 0 THEN one.revenue / total ELSE 0.0 END AS share
ORDER BY share DESC, brand
LIMIT $k
