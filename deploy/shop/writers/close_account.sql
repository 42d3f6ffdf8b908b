-- A user goes with every order. The lock keeps new orders of this user away.
\set user random(1, 20000)
BEGIN;
SELECT count(*) FROM (SELECT FROM users WHERE id = :user FOR UPDATE) AS locked;
DELETE FROM orders WHERE user_id = :user;
DELETE FROM users WHERE id = :user;
COMMIT;
