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
MATCH (u)-[:PURCHASED|REVIEWED|VIEWED|CARTED|CLICKED|WISHED|SAW|RETURNED]->(own:Product)-[:IN_CATEGORY]->(c:Category)<-[:IN_CATEGORY]-(p)
WHERE own.id IN r.evidence AND c.id IN r.evidence AND own.id <> p.id
RETURN DISTINCT r.rank AS rank, p.id AS product, r.reason_kind AS kind, own.id AS had, c.id AS via
UNION ALL
MATCH (run:Run)
WHERE run.current
MATCH (u:User {id: $user})-[r:RECOMMENDED]->(p:Product)
WHERE r.run = run.id AND r.reason_kind = 'same-brand'
MATCH (u)-[:PURCHASED|REVIEWED|VIEWED|CARTED|CLICKED|WISHED|SAW|RETURNED]->(own:Product)-[:MADE_BY]->(b:Brand)<-[:MADE_BY]-(p)
WHERE own.id IN r.evidence AND b.id IN r.evidence AND own.id <> p.id
RETURN DISTINCT r.rank AS rank, p.id AS product, r.reason_kind AS kind, own.id AS had, b.id AS via
UNION ALL
MATCH (run:Run)
WHERE run.current
MATCH (u:User {id: $user})-[r:RECOMMENDED]->(p:Product)
WHERE r.run = run.id AND r.reason_kind = 'same-aisle'
MATCH (u)-[:PURCHASED|REVIEWED|VIEWED|CARTED|CLICKED|WISHED|SAW|RETURNED]->(own:Product)-[:IN_CATEGORY]->(a:Category)-[:CHILD_OF]->(c:Category)<-[:CHILD_OF]-(d:Category)<-[:IN_CATEGORY]-(p)
WHERE own.id IN r.evidence AND a.id IN r.evidence AND c.id IN r.evidence AND d.id IN r.evidence AND own.id <> p.id
RETURN DISTINCT r.rank AS rank, p.id AS product, r.reason_kind AS kind, own.id AS had, c.id AS via
UNION ALL
MATCH (run:Run)
WHERE run.current
MATCH (u:User {id: $user})-[r:RECOMMENDED]->(p:Product)
WHERE r.run = run.id AND r.reason_kind = 'related'
MATCH (u)-[:PURCHASED|REVIEWED|VIEWED|CARTED|CLICKED|WISHED|SAW|RETURNED]->(own:Product)-[:RELATED]-(e:Entity)-[:RELATED]-(p)
WHERE own.id IN r.evidence AND e.id IN r.evidence AND own.id <> p.id
RETURN DISTINCT r.rank AS rank, p.id AS product, r.reason_kind AS kind, own.id AS had, e.id AS via
UNION ALL
MATCH (run:Run)
WHERE run.current
MATCH (u:User {id: $user})-[r:RECOMMENDED]->(p:Product)
WHERE r.run = run.id AND r.reason_kind = 'related'
MATCH (u)-[:PURCHASED|REVIEWED|VIEWED|CARTED|CLICKED|WISHED|SAW|RETURNED]->(own:Product)-[:RELATED]-(p)
WHERE own.id IN r.evidence AND own.id <> p.id AND size(r.evidence) = 3
RETURN DISTINCT r.rank AS rank, p.id AS product, r.reason_kind AS kind, own.id AS had, '' AS via
UNION ALL
MATCH (run:Run)
WHERE run.current
MATCH (u:User {id: $user})-[r:RECOMMENDED]->(p:Product)
WHERE r.run = run.id AND r.reason_kind = 'bought-together'
MATCH (u)-[:PURCHASED|REVIEWED|VIEWED|CARTED|CLICKED|WISHED|SAW|RETURNED]->(own:Product)<-[:PURCHASED|REVIEWED|VIEWED|CARTED|CLICKED|WISHED|SAW|RETURNED]-(other:User)-[:PURCHASED|REVIEWED|VIEWED|CARTED|CLICKED|WISHED|SAW|RETURNED]->(p)
WHERE own.id IN r.evidence AND other.id IN r.evidence AND own.id <> p.id AND other.id <> u.id
RETURN DISTINCT r.rank AS rank, p.id AS product, r.reason_kind AS kind, own.id AS had, other.id AS via
