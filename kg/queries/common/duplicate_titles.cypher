// title: Products that look alike: the same title (case and outer blanks aside) and brand under several ids
// topic: data quality
// param min_products: integer = 2 — least number of ids
// param k: integer = 20 — how many titles
// column title: the title in lower case
// column brand: the brand's name, empty without one
// column products: products with both
// column first_id: the first of their ids
// column last_id: the last of them
// reads: Product.title, MADE_BY, Brand.name
MATCH (p:Product)
WHERE p.title IS NOT NULL
OPTIONAL MATCH (p)-[:MADE_BY]->(b:Brand)
WITH toLower(trim(p.title)) AS title, coalesce(b.name, '') AS brand, count(DISTINCT p.id) AS products,
     min(p.id) AS first_id, max(p.id) AS last_id
WHERE products >= $min_products AND title <> ''
RETURN title, brand, products, first_id, last_id
ORDER BY products DESC, title, brand
LIMIT $k
