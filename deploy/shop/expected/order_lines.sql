-- What app.order_lines must hold for the source as it is.
SELECT uuid '00000000-0000-0000-0000-000000000001' AS tenant_id,
       order_id,
       line_no,
       product_id,
       quantity,
       unit_price,
       discount
FROM public.order_lines
