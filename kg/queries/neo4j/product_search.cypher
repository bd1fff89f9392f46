// title: Products for words in title or description, best match first
// topic: products
// param words: string = green tea — words, in Lucene's query syntax
// param k: integer = 10 — how many products
// column product: the product's id
// column title: its title
// column category: its category's full path
// column score: Lucene's score
// reads: Product.title
// needs: full_text
CALL db.index.fulltext.queryNodes('shopgraph_product_text', $words, {limit: $k}) YIELD node AS p, score
OPTIONAL MATCH (p)-[:IN_CATEGORY]->(c:Category)
RETURN p.id AS product, p.title AS title, c.id AS category, score
ORDER BY score DESC, product
