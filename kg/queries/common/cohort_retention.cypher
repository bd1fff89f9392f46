// title: How many users of each cohort (month of the first purchase) buy again so many months later
// topic: users
// column cohort: the month of the first purchase, yyyymm
// column months_since: 0 in that month, 1 in the next
// column users: users of the cohort who bought in that month
// column share: of the cohort
// reads: PURCHASED
MATCH (u:User)-[r:PURCHASED]->(:Product)
WHERE r.month IS NOT NULL
WITH u.id AS user, collect(DISTINCT r.month) AS months, min(r.month) AS cohort
UNWIND months AS month
WITH cohort, ((month - month % 100) / 100 - (cohort - cohort % 100) / 100) * 12 + month % 100 - cohort % 100
     AS months_since, count(user) AS users
WITH cohort, max(users) AS size_of_it, collect({since: months_since, users: users}) AS rows
UNWIND rows AS one
RETURN cohort, one.since AS months_since, one.users AS users, one.users * 1.0 / size_of_it AS share
ORDER BY cohort, months_since
