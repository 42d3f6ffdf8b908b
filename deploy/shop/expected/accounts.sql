-- What app.accounts must hold for the source as it is.
SELECT uuid '00000000-0000-0000-0000-000000000001' AS tenant_id,
       id,
       format('TENANT#00000000-0000-0000-0000-000000000001#CAPSULE#%s#USER#%s',
              capsule_id, id) AS pk,
       capsule_id,
       email,
       first_name || ' ' || last_name AS full_name,
       balance,
       preferences,
       tags,
       created_at AS joined_at
FROM public.users
