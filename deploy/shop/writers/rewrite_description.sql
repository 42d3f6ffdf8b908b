-- Rarely, the TOASTed value itself changes: longer, shorter, or gone.
\set product random(1, 4000)
\set blocks random(0, 90)
UPDATE products
SET description = (SELECT string_agg(encode(sha512((random() || '/' || i)::bytea), 'base64'), '+')
                   FROM generate_series(1, :blocks) AS i)
WHERE id = :product;
