// title: Baskets and their value by day of the week
// topic: baskets
// column weekday: Monday to Sunday, in UTC
// column baskets: baskets of that day of the week
// column lines: mean number of lines
// column value: mean value
// reads: CONTAINS, Order.day
MATCH (o:`Order`)-[c:CONTAINS]->(:Product)
WITH o, count(c) AS lines, sum(coalesce(c.price, 0.0) * coalesce(c.quantity, 1)) AS value
WITH (o.day + 3) % 7 AS place, count(o) AS baskets, avg(lines) AS lines, avg(value) AS value
RETURN CASE place WHEN 0 THEN 'Monday' WHEN 1 THEN 'Tuesday' WHEN 2 THEN 'Wednesday' WHEN 3 THEN 'Thursday'
                  WHEN 4 THEN 'Friday' WHEN 5 THEN 'Saturday' ELSE 'Sunday' END AS weekday,
       baskets, lines, value
ORDER BY place
