-- jsonb, an array and a numeric of one user.
\set user random(1, 20000)
\set cents random(-9999, 9999)
UPDATE users
SET preferences = jsonb_set(preferences, '{last}', to_jsonb(:cents)),
    tags = CASE WHEN cardinality(tags) > 9 THEN NULL ELSE array_append(tags, 'n' || :cents) END,
    balance = balance + :cents / 100.0
WHERE id = :user;
