// title: Products that the published run finds similar to a product
// topic: recommendations
// param product: string — the product's id
// column rank: place, from 1
// column product: the similar product's id
// column title: its title
// column brand: its brand's name
// column score: how similar
// reads: Run, SIMILAR, Product.title
MATCH (run:Run)
WHERE run.current
MATCH (:Product {id: $product})-[r:SIMILAR]->(p:Product)
WHERE r.run = run.id
OPTIONAL MATCH (p)-[:MADE_BY]->(b:Brand)
RETURN r.rank AS rank, p.id AS product, p.title AS title, b.name AS brand, r.score AS score
ORDER BY rank
