// title: Coupon redemption by campaign
// topic: campaigns and coupons
// column campaign: the campaign's id
// column coupons: coupons of the campaign
// column targeted: users it was sent to
// column redeemers: users who redeemed a coupon of it, targeted or not
// column redemptions: redeemed coupons
// column rate: redeemers per targeted user
// reads: TARGETED_BY, REDEEMED.campaign_id, Campaign
MATCH (c:Campaign)
OPTIONAL MATCH (u:User)-[:TARGETED_BY]->(c)
WITH c, count(DISTINCT u.id) AS targeted
OPTIONAL MATCH (k:Coupon)-[:PART_OF]->(c)
WITH c, targeted, count(DISTINCT k.id) AS coupons
OPTIONAL MATCH (v:User)-[r:REDEEMED {campaign_id: c.id}]->(:Coupon)
WITH c, targeted, coupons, count(r) AS redemptions, count(DISTINCT v.id) AS redeemers
RETURN c.id AS campaign, coupons, targeted, redeemers, redemptions,
       CASE WHEN targeted > 0 THEN redeemers * 1.0 / targeted ELSE 0.0 END AS rate
ORDER BY rate DESC, campaign
