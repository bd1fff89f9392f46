// title: Share of each segment's buyers who buy of a category
// topic: brands and categories
// about: A segment is a value of any property of users; users without it are left out.
// param category: string = GROCERY > SOFT DRINKS — the category's full path
// param segment: User property = label_segment — what users are told apart by, as in segment=age
// column segment: the property's value
// column buyers: users of the segment who bought anything
// column users: of them those who bought of the category
// column penetration: users per buyer
// column index: penetration divided by that of all segments together; 1 is the average
// column revenue: what they spent in the category
// reads: PURCHASED, IN_CATEGORY, CHILD_OF, User
MATCH (p:Product)-[:IN_CATEGORY]->(:Category)-[:CHILD_OF*0..10]->(:Category {id: $category})
WITH DISTINCT p
MATCH (u:User)-[r:PURCHASED]->(p)
WHERE u[$segment] IS NOT NULL
WITH u[$segment] AS segment, count(DISTINCT u.id) AS users,
     sum(coalesce(r.price, 0.0) * coalesce(r.quantity, 1)) AS revenue
WITH collect({segment: segment, users: users, revenue: revenue}) AS found
MATCH (u:User)
WHERE u[$segment] IS NOT NULL AND EXISTS { MATCH (u)-[:PURCHASED]->(:Product) }
WITH found, u[$segment] AS segment, count(u) AS buyers
UNWIND found AS one
WITH segment, buyers, sum(CASE WHEN one.segment = segment THEN one.users ELSE 0 END) AS users,
     sum(CASE WHEN one.segment = segment THEN one.revenue ELSE 0.0 END) AS revenue
WITH collect({segment: segment, buyers: buyers, users: users, revenue: revenue}) AS rows,
     sum(buyers) AS all_buyers, sum(users) AS all_users
UNWIND rows AS one
RETURN one.segment AS segment, one.buyers AS buyers, one.users AS users, one.users * 1.0 / one.buyers AS penetration,
       one.users * 1.0 * all_buyers / (one.buyers * 1.0 * all_users) AS `index`, one.revenue AS revenue
ORDER BY penetration DESC, segment
