-- The enum moves on; a text comes and goes (NULL to value to NULL).
\set order random(1, 60000)
UPDATE orders
SET state = CASE state WHEN 'new' THEN 'paid' WHEN 'paid' THEN 'shipped'
                       WHEN 'shipped' THEN 'delivered' WHEN 'delivered' THEN 'cancelled'
                       ELSE 'new' END::order_state,
    note = CASE WHEN note IS NULL THEN E'left at\tthe door' END,
    changed_at = clock_timestamp()
WHERE id = :order;
