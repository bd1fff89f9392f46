// title: How many of the published recommendations were bought since the model's cut-off, by place in the list
// topic: recommendations
// about: Purchases after the cut-off of the current run; a graph without later purchases gives 0.
// column rank: place in the list, from 1
// column recommendations: lists that have such a place
// column bought: of them those whose user bought the product since
// column share: bought per recommendation
// reads: RECOMMENDED, PURCHASED.at, Run.current, Run.cutoff
MATCH (run:Run)
WHERE run.current
WITH run.id AS current, run.cutoff AS cutoff
MATCH (u:User)-[r:RECOMMENDED]->(p:Product)
WHERE r.run = current
WITH cutoff, r.rank AS rank, u, p
OPTIONAL MATCH (u)-[b:PURCHASED]->(p)
WHERE b.at > cutoff
WITH rank, u, p, count(b) AS times
WITH rank, count(*) AS recommendations, sum(CASE WHEN times > 0 THEN 1 ELSE 0 END) AS bought
RETURN rank, recommendations, bought, bought * 1.0 / recommendations AS share
ORDER BY rank
