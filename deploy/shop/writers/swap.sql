-- Two orders swap their primary keys, two users their unique e-mail addresses, by way of a
-- third value. Only the order of the changes makes it legal at the target.
\set order random(1, 59999)
\set user random(1, 19999)
BEGIN;
SELECT nextval('orders_id_seq') AS spare \gset
SELECT count(*) AS found FROM (SELECT FROM orders WHERE id IN (:order, :order + 1)
                               ORDER BY id FOR UPDATE) AS pair \gset
UPDATE orders SET id = :spare WHERE id = :order AND :found = 2;
UPDATE orders SET id = :order WHERE id = :order + 1 AND :found = 2;
UPDATE orders SET id = :order + 1 WHERE id = :spare AND :found = 2;
SELECT coalesce(min(email), '') AS one, coalesce(max(email), '') AS other, count(*) AS found
FROM (SELECT email FROM users WHERE id IN (:user, :user + 1) ORDER BY id FOR UPDATE) AS pair \gset
UPDATE users SET email = 'swap ' || :spare WHERE email = ':one' AND :found = 2;
UPDATE users SET email = ':one' WHERE email = ':other' AND :found = 2;
UPDATE users SET email = ':other' WHERE email = 'swap ' || :spare AND :found = 2;
COMMIT;
