{{ config(materialized='incremental', unique_key='customer') }}
select customer, total from {{ ref('customers') }}
{% if is_incremental() %}
where total >= (select coalesce(min(total), 0) from {{ this }})
{% endif %}
