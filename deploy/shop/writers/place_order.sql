-- One transaction over three tables: an order, its lines, and the stock of what was bought.
-- The update of products leaves the TOASTed description as it is. The savepoint puts a
-- rolled-back subtransaction into the WAL.
\set user random(1, 20000)
\set a random(1, 4000)
\set b random(1, 4000)
\set c random(1, 4000)
BEGIN;
SELECT count(*) FROM (SELECT FROM products WHERE id IN (:a, :b, :c)
                      ORDER BY id FOR NO KEY UPDATE) AS locked;
WITH buyer AS (
    SELECT id FROM users WHERE id >= :user ORDER BY id LIMIT 1 FOR KEY SHARE
), placed AS (
    INSERT INTO orders (user_id) SELECT id FROM buyer RETURNING id
)
SELECT coalesce(max(id), 0) AS order FROM placed \gset
INSERT INTO order_lines (order_id, line_no, product_id, quantity, unit_price, discount)
SELECT orders.id, row_number() OVER (ORDER BY products.id), products.id, 2, price, price / 3
FROM orders, products WHERE orders.id = :order AND products.id IN (:a, :b, :c);
UPDATE products SET stock = stock - 2 WHERE id IN (:a, :b, :c);
SAVEPOINT change_of_mind;
UPDATE orders SET note = 'never to be seen' WHERE id = :order;
DELETE FROM order_lines WHERE order_id = :order AND line_no = 1;
ROLLBACK TO SAVEPOINT change_of_mind;
UPDATE orders SET total = (SELECT coalesce(sum(quantity * unit_price), 0)
                           FROM order_lines WHERE order_id = :order)
WHERE id = :order;
COMMIT;
