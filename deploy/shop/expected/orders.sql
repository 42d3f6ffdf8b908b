-- What app.orders must hold for the source as it is.
SELECT uuid '00000000-0000-0000-0000-000000000001' AS tenant_id,
       id,
       user_id AS account_id,
       CASE state WHEN 'new' THEN 'open'
                  WHEN 'paid' THEN 'paid'
                  WHEN 'shipped' THEN 'on_the_way'
                  WHEN 'delivered' THEN 'done'
                  ELSE 'void' END AS status,
       total,
       note,
       placed_at AS ordered_at,
       changed_at
FROM public.orders
