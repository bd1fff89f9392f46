// title: The paths behind a user's published recommendations, matched again by the evidence on them
// topic: recommendations
// param user: string — the user's id
// column rank: place in the list, from 1
// column product: the recommended product
// column kind: kind of the reason
// column had: a product of the user's history on the path
// column via: category, brand, entity or other user in the middle; empty where the path has none
// reads: Run, RECOMMENDED, IN_CATEGORY, MADE_BY, CHILD_OF, RELATED
MATCH (run:Run)
WHERE run.current
MATCH (u:User {id: $user})-[r:RECOMMENDED]->(p:Product)
WHERE r.run = run.id AND r.reason_kind = 'bought-before'
MATCH (u)-[:PURCHASED|REVIEWED|VIEWED|CARTED|CLICKED|WISHED|SAW|RETURNED]->(own:Product)
WHERE own.id = p.id
RETURN DISTINCT r.rank AS rank, p.id AS product, r.reason_kind AS kind, own.id AS had, '' AS via
UNION ALL
MATCH (run:Run)
WHERE run.current
MATCH (u:User {id: $user})-[r:RECOMMENDED]->(p:Product)
WHERE r.run = run.id AND r.reason_kind = 'same-category'
MATCH (u)-[:PURCHASED|REVIEWED|VIEWED|CARTED|CLICKED|WISHED|SAW|RETURNED]->(own:Product)
WHERE own.id IN r.evidence AND own.id <> p.id
WITH DISTINCT u, r.rank AS rank, r.reason_kind AS kind, r.evidence AS evidence, p, own
MATCH (own)-[:IN_CATEGORY]->(c:Category)
WHERE c.id IN evidence
WITH DISTINCT rank, kind, p, own, c
MATCH (c)<-[:IN_CATEGORY]-(p)
RETURN DISTINCT rank, p.id AS product, kind, own.id AS had, c.id AS via
UNION ALL
MATCH (run:Run)
WHERE run.current
MATCH (u:User {id: $user})-[r:RECOMMENDED]->(p:Product)
WHERE r.run = run.id AND r.reason_kind = 'same-brand'
MATCH (u)-[:PURCHASED|REVIEWED|VIEWED|CARTED|CLICKED|WISHED|SAW|RETURNED]->(own:Product)
WHERE own.id IN r.evidence AND own.id <> p.id
WITH DISTINCT u, r.rank AS rank, r.reason_kind AS kind, r.evidence AS evidence, p, own
MATCH (own)-[:MADE_BY]->(b:Brand)
WHERE b.id IN evidence
WITH DISTINCT rank, kind, p, own, b
MATCH (b)<-[:MADE_BY]-(p)
RETURN DISTINCT rank, p.id AS product, kind, own.id AS had, b.id AS via
UNION ALL
MATCH (run:Run)
WHERE run.current
MATCH (u:User {id: $user})-[r:RECOMMENDED]->(p:Product)
WHERE r.run = run.id AND r.reason_kind = 'same-aisle'
MATCH (u)-[:PURCHASED|REVIEWED|VIEWED|CARTED|CLICKED|WISHED|SAW|RETURNED]->(own:Product)
WHERE own.id IN r.evidence AND own.id <> p.id
WITH DISTINCT u, r.rank AS rank, r.reason_kind AS kind, r.evidence AS evidence, p, own
MATCH (own)-[:IN_CATEGORY]->(a:Category)-[:CHILD_OF]->(c:Category)
WHERE a.id IN evidence AND c.id IN evidence
WITH DISTINCT rank, kind, evidence, p, own, c
MATCH (p)-[:IN_CATEGORY]->(d:Category)-[:CHILD_OF]->(c)
WHERE d.id IN evidence
RETURN DISTINCT rank, p.id AS product, kind, own.id AS had, c.id AS via
UNION ALL
MATCH (run:Run)
WHERE run.current
MATCH (u:User {id: $user})-[r:RECOMMENDED]->(p:Product)
WHERE r.run = run.id AND r.reason_kind = 'related'
MATCH (u)-[:PURCHASED|REVIEWED|VIEWED|CARTED|CLICKED|WISHED|SAW|RETURNED]->(own:Product)
WHERE own.id IN r.evidence AND own.id <> p.id
WITH DISTINCT u, r.rank AS rank, r.reason_kind AS kind, r.evidence AS evidence, p, own
MATCH (own)-[:RELATED]-(e:Entity)
WHERE e.id IN evidence
WITH DISTINCT rank, kind, p, own, e
MATCH (e)-[:RELATED]-(p)
RETURN DISTINCT rank, p.id AS product, kind, own.id AS had, e.id AS via
UNION ALL
MATCH (run:Run)
WHERE run.current
MATCH (u:User {id: $user})-[r:RECOMMENDED]->(p:Product)
WHERE r.run = run.id AND r.reason_kind = 'related'
MATCH (u)-[:PURCHASED|REVIEWED|VIEWED|CARTED|CLICKED|WISHED|SAW|RETURNED]->(own:Product)
WHERE own.id IN r.evidence AND own.id <> p.id
WITH DISTINCT u, r.rank AS rank, r.reason_kind AS kind, r.evidence AS evidence, p, own
MATCH (own)-[:RELATED]-(p)
WHERE size(evidence) = 3
RETURN DISTINCT rank, p.id AS product, kind, own.id AS had, '' AS via
UNION ALL
MATCH (run:Run)
WHERE run.current
MATCH (u:User {id: $user})-[r:RECOMMENDED]->(p:Product)
WHERE r.run = run.id AND r.reason_kind = 'bought-together'
MATCH (u)-[:PURCHASED|REVIEWED|VIEWED|CARTED|CLICKED|WISHED|SAW|RETURNED]->(own:Product)
WHERE own.id IN r.evidence AND own.id <> p.id
WITH DISTINCT u, r.rank AS rank, r.reason_kind AS kind, r.evidence AS evidence, p, own
MATCH (own)<-[:PURCHASED|REVIEWED|VIEWED|CARTED|CLICKED|WISHED|SAW|RETURNED]-(other:User)
WHERE other.id IN evidence AND other.id <> u.id
WITH DISTINCT rank, kind, p, own, other
MATCH (other)-[:PURCHASED|REVIEWED|VIEWED|CARTED|CLICKED|WISHED|SAW|RETURNED]->(p)
RETURN DISTINCT rank, p.id AS product, kind, own.id AS had, other.id AS via
