-- A new user.
\set capsule random(1, 7)
INSERT INTO users (capsule_id, email, first_name, last_name, preferences, tags)
VALUES (:capsule, gen_random_uuid() || '@example.org', 'Neu', 'Gäst',
        jsonb_build_object('since', now()), ARRAY['new', NULL]);
