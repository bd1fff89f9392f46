// title: Nearest products by the published vectors, found with the vector index
// topic: recommendations
// param product: string — the product's id
// param k: integer = 10 — how many neighbours
// column product: the neighbour's id
// column title: its title
// column score: similarity of the vectors
// reads: Run, Product.title
// needs: vector_index
MATCH (run:Run {current: true})
WHERE run.vector_index IS NOT NULL
MATCH (p:Product {id: $product})
CALL db.index.vector.queryNodes(run.vector_index, $k + 1, p[run.vector_property]) YIELD node, score
WHERE node.id <> p.id
RETURN node.id AS product, node.title AS title, score
ORDER BY score DESC, product
LIMIT $k
