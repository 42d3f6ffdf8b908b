-- A new price, while the TOASTed description stays as it is and is not in the WAL.
\set product random(1, 4000)
\set cents random(1, 99999)
UPDATE products SET stock = stock + 10, price = :cents / 100.0 WHERE id = :product;
