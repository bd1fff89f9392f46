// title: Days with far more or far fewer purchases than usual on that day of the week
// topic: data quality
// about: A day without any purchase is not found.
// param times: float = 2.0 — how many times more, or fewer, than the mean of that day of the week
// column day: days since 1970-01-01
// column first_at: the first purchase of the day
// column purchases: purchase lines of the day
// column usual: mean of that day of the week
// reads: PURCHASED.at
MATCH (:User)-[r:PURCHASED]->(:Product)
WHERE r.day IS NOT NULL
WITH r.day AS day, min(r.at) AS first_at, count(r) AS purchases
WITH (day + 3) % 7 AS weekday, avg(purchases) AS usual,
     collect({day: day, first_at: first_at, purchases: purchases}) AS days
UNWIND days AS one
WITH one, usual
WHERE one.purchases > usual * $times OR one.purchases * $times < usual
RETURN one.day AS day, one.first_at AS first_at, one.purchases AS purchases, usual
ORDER BY day
