-- Key changes, each cascading into the tables that refer to it. The product's description is
-- TOASTed and unchanged: not in the WAL, though its row moves to another key.
\set user random(1, 20000)
\set product random(1, 4000)
\set order random(1, 60000)
BEGIN;
UPDATE users SET id = nextval('users_id_seq') WHERE id = :user;
UPDATE products SET id = nextval('products_id_seq') WHERE id = :product;
UPDATE orders SET id = nextval('orders_id_seq') WHERE id = :order;
COMMIT;
