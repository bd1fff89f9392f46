// title: What the targeted users of a campaign spent on its products, beside the untargeted
// topic: campaigns and coupons
// about: The campaign lasts from the first to the last day with a purchase between its start and end; before is the
// about: same number of days just before. Its products are those of its coupons. The targeted were chosen, not drawn:
// about: compare how both groups changed, not how much they spend.
// param campaign: string — the campaign's id
// column group: targeted or untargeted
// column users: users of the group
// column buyers: of them those who bought a product of the campaign while it lasted
// column rate: buyers per user
// column spent_before: mean spent per user on those products before
// column spent_during: the same while it lasted
// column change: spent_during less spent_before
// reads: TARGETED_BY, APPLIES_TO.campaign_id, PURCHASED.at, Campaign.start_time, Campaign.end_time
MATCH (c:Campaign {id: $campaign})
MATCH (:User)-[r:PURCHASED]->(:Product)
WHERE r.at >= c.start_time AND r.at <= c.end_time
WITH c, min(r.day) AS first_day, max(r.day) AS last_day
MATCH (everyone:User)
WITH c, first_day, last_day, count(everyone) AS users
OPTIONAL MATCH (t:User)-[:TARGETED_BY]->(c)
WITH c, first_day, last_day, users, count(DISTINCT t.id) AS targeted
MATCH (:Coupon)-[:APPLIES_TO {campaign_id: c.id}]->(p:Product)
WITH DISTINCT c, first_day, last_day, users, targeted, p
MATCH (u:User)-[r:PURCHASED]->(p)
WHERE r.day >= 2 * first_day - last_day - 1 AND r.day <= last_day
WITH c, users, targeted, u,
     sum(CASE WHEN r.day < first_day THEN coalesce(r.price, 0.0) * coalesce(r.quantity, 1) ELSE 0.0 END) AS before,
     sum(CASE WHEN r.day >= first_day THEN coalesce(r.price, 0.0) * coalesce(r.quantity, 1) ELSE 0.0 END) AS during,
     sum(CASE WHEN r.day >= first_day THEN 1 ELSE 0 END) AS lines
OPTIONAL MATCH (u)-[t:TARGETED_BY]->(c)
WITH users, targeted, u, before, during, lines, count(t) AS sent
WITH users, targeted, CASE WHEN sent > 0 THEN 'targeted' ELSE 'untargeted' END AS who, sum(before) AS before,
     sum(during) AS during, sum(CASE WHEN lines > 0 THEN 1 ELSE 0 END) AS buyers
WITH who, CASE WHEN who = 'targeted' THEN targeted ELSE users - targeted END AS members, buyers, before, during
RETURN who AS `group`, members AS users, buyers, buyers * 1.0 / members AS rate, before / members AS spent_before,
       during / members AS spent_during, (during - before) / members AS change
ORDER BY `group`
