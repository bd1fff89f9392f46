// title: How often each kind of reason stands behind the published recommendations
// reads: Run, RECOMMENDED
MATCH (run:Run)
WHERE run.current
MATCH (u:User)-[r:RECOMMENDED]->(p:Product)
WHERE r.run = run.id
RETURN r.reason_kind AS reason_kind, count(*) AS recommendations, count(DISTINCT u.id) AS users,
       count(DISTINCT p.id) AS products
ORDER BY recommendations DESC, reason_kind
