// title: What kinds of reason the published recommendations have
// topic: recommendations
// column reason_kind: kind of the reason
// column recommendations: recommendations with it
// column users: different users who got one
// column products: different products
// column share: of all recommendations
// column mean_rank: mean place in the list
// reads: Run, RECOMMENDED
MATCH (run:Run)
WHERE run.current
MATCH (u:User)-[r:RECOMMENDED]->(p:Product)
WHERE r.run = run.id
WITH r.reason_kind AS kind, count(r) AS n, count(DISTINCT u.id) AS users, count(DISTINCT p.id) AS products,
     avg(r.rank) AS mean_rank
WITH collect({kind: coalesce(kind, 'none'), n: n, users: users, products: products, mean_rank: mean_rank}) AS rows,
     sum(n) AS total
UNWIND rows AS one
RETURN one.kind AS reason_kind, one.n AS recommendations, one.users AS users, one.products AS products,
       one.n * 1.0 / total AS share, one.mean_rank AS mean_rank
ORDER BY recommendations DESC, reason_kind
