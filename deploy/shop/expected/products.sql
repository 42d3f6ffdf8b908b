-- What app.products must hold for the source as it is.
SELECT uuid '00000000-0000-0000-0000-000000000001' AS tenant_id,
       id,
       sku,
       name AS title,
       price AS list_price,
       weight_kg,
       stock,
       attributes,
       tags,
       description
FROM public.products
