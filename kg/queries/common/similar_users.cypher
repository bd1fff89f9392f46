// title: Users whose baskets are most like those of a user (Jaccard over products)
// topic: users
// param user: string — the user's id
// param k: integer = 10 — how many users
// column user: the other user's id
// column shared: products that both have bought
// column products: products that the other has bought
// column jaccard: shared per product that either has bought
// reads: PURCHASED
MATCH (u:User {id: $user})-[:PURCHASED]->(p:Product)
WITH u, collect(DISTINCT p) AS mine
WITH u, mine, size(mine) AS own
UNWIND mine AS p
MATCH (p)<-[:PURCHASED]-(v:User)
WHERE v.id <> u.id
WITH own, v, count(DISTINCT p.id) AS shared
MATCH (v)-[:PURCHASED]->(q:Product)
WITH own, v, shared, count(DISTINCT q.id) AS others
RETURN v.id AS user, shared, others AS products, shared * 1.0 / (own + others - shared) AS jaccard
ORDER BY jaccard DESC, user
LIMIT $k
