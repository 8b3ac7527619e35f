select c.customer, c.country, sum(o.amount) as total
from {{ ref('orders') }} as o
join {{ source('raw', 'raw_customers') }} as c on c.customer = o.customer
group by 1, 2
