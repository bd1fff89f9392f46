// title: Where a recommendation came from: the nodes along its path
// topic: recommendations
// about: The path begins with the user and leads over a product of their history to the recommended one.
// param user: string — the user's id
// param product: string — the recommended product's id
// column step: 1 is the user
// column kind: User, Product, Category or Brand
// column id: the node's id
// column name: its title or name
// column reason_kind: kind of the reason
// column reason: the reason in a sentence
// reads: Run, RECOMMENDED.evidence, Product.title, Brand.name, Category.name
MATCH (run:Run)
WHERE run.current
MATCH (:User {id: $user})-[r:RECOMMENDED]->(:Product {id: $product})
WHERE r.run = run.id
UNWIND range(1, size(r.evidence)) AS step
WITH r.reason_kind AS reason_kind, r.reason AS reason, step, size(r.evidence) AS steps,
     r.evidence[step - size(r.evidence) - 1] AS id
OPTIONAL MATCH (p:Product {id: id})
WITH reason_kind, reason, step, steps, id, p
OPTIONAL MATCH (c:Category {id: id})
WITH reason_kind, reason, step, steps, id, p, c
OPTIONAL MATCH (b:Brand {id: id})
WITH reason_kind, reason, step, id, p, c, b,
     CASE WHEN step = 1 THEN 'User'
          WHEN (step = 2 OR step = steps) AND p.id IS NOT NULL THEN 'Product'
          WHEN reason_kind = 'same-brand' AND b.id IS NOT NULL THEN 'Brand'
          WHEN c.id IS NOT NULL THEN 'Category'
          WHEN b.id IS NOT NULL THEN 'Brand'
          ELSE 'User' END AS kind
RETURN step, kind, id,
       CASE WHEN kind = 'Product' THEN p.title WHEN kind = 'Category' THEN c.name
            WHEN kind = 'Brand' THEN b.name ELSE id END AS name,
       reason_kind, reason
ORDER BY step
