// title: Purchases by hour of the day: a midnight peak is a date without a time
// topic: data quality
// column hour: 0 to 23, in UTC
// column purchases: purchase lines
// column share: of all with a time
// reads: PURCHASED.at
MATCH (:User)-[r:PURCHASED]->(:Product)
WHERE r.at IS NOT NULL
WITH r.at.hour AS hour, count(r) AS purchases
WITH collect({hour: hour, purchases: purchases}) AS hours, sum(purchases) AS total
UNWIND hours AS one
RETURN one.hour AS hour, one.purchases AS purchases, one.purchases * 1.0 / total AS share
ORDER BY hour
