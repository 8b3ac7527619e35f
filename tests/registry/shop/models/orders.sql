select id, customer, amount from {{ source('raw', 'raw_orders') }}
