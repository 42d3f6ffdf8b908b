-- An order goes, its lines go by cascade, and the stock comes back.
\set order random(1, 60000)
BEGIN;
SELECT count(*) FROM (SELECT FROM orders WHERE id = :order FOR UPDATE) AS locked;
UPDATE products SET stock = stock + quantity
FROM order_lines WHERE order_id = :order AND products.id = product_id;
DELETE FROM orders WHERE id = :order;
COMMIT;
