// title: Categories of one level by how many buyers come back, and after how many days
// topic: brands and categories
// param level: integer = 2 — level of the category tree, 1 is the top
// param min_buyers: integer = 100 — least number of buyers of a category
// param k: integer = 20 — how many categories
// column category: the category's full path
// column buyers: different users who bought of it
// column repeat_buyers: of them those who bought on two days or more
// column repeat_rate: repeat_buyers per buyer
// column days_between: mean days from one buying day to the next of the same user
// reads: PURCHASED, IN_CATEGORY, CHILD_OF, Category.level
MATCH (p:Product)-[:IN_CATEGORY]->(:Category)-[:CHILD_OF*0..10]->(c:Category {level: $level})
WITH DISTINCT p, c
MATCH (p)<-[r:PURCHASED]-(u:User)
WHERE r.day IS NOT NULL
WITH c.id AS category, u.id AS user, count(DISTINCT r.day) AS days, max(r.day) - min(r.day) AS span
WITH category, count(user) AS buyers, sum(CASE WHEN days > 1 THEN 1 ELSE 0 END) AS repeat_buyers, sum(span) AS span,
     sum(days - 1) AS gaps
WHERE buyers >= $min_buyers
RETURN category, buyers, repeat_buyers, repeat_buyers * 1.0 / buyers AS repeat_rate,
       CASE WHEN gaps > 0 THEN span * 1.0 / gaps END AS days_between
ORDER BY repeat_rate DESC, category
LIMIT $k
