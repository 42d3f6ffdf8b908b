-- The shop as it shall be: many tenants in one schema, tenant_id leading every key.
--
-- Compared with the source: users became accounts with one full_name and a text key made by a
-- template; created_at, name, price, user_id, state and placed_at have other names; the enum is
-- plain text; legacy_code and old_category are gone. Key columns stand first in each table:
-- deploy/shop/compare orders by the first three columns.

\encoding UTF8

BEGIN;
CREATE SCHEMA app;

CREATE TABLE app.accounts (
    tenant_id   uuid NOT NULL,
    id          bigint NOT NULL,
    pk          text NOT NULL UNIQUE,
    capsule_id  integer NOT NULL,
    email       text NOT NULL,
    full_name   text NOT NULL,
    balance     numeric(12,2) NOT NULL,
    preferences jsonb NOT NULL,
    tags        text[],
    joined_at   timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, id),
    UNIQUE (tenant_id, email)
);

CREATE TABLE app.products (
    tenant_id   uuid NOT NULL,
    id          bigint NOT NULL,
    sku         text NOT NULL,
    title       text NOT NULL,
    list_price  numeric(12,2) NOT NULL,
    weight_kg   numeric,
    stock       integer NOT NULL,
    attributes  jsonb,
    tags        text[] NOT NULL,
    description text,
    PRIMARY KEY (tenant_id, id),
    UNIQUE (tenant_id, sku)
);

CREATE TABLE app.orders (
    tenant_id  uuid NOT NULL,
    id         bigint NOT NULL,
    account_id bigint NOT NULL,
    status     text NOT NULL,
    total      numeric(14,2) NOT NULL,
    note       text,
    ordered_at timestamptz NOT NULL,
    changed_at timestamptz,
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id, account_id) REFERENCES app.accounts (tenant_id, id)
);

CREATE TABLE app.order_lines (
    tenant_id  uuid NOT NULL,
    order_id   bigint NOT NULL,
    line_no    integer NOT NULL,
    product_id bigint NOT NULL,
    quantity   integer NOT NULL CHECK (quantity > 0),
    unit_price numeric(12,2) NOT NULL,
    discount   numeric,
    PRIMARY KEY (tenant_id, order_id, line_no),
    FOREIGN KEY (tenant_id, order_id) REFERENCES app.orders (tenant_id, id),
    FOREIGN KEY (tenant_id, product_id) REFERENCES app.products (tenant_id, id)
);

CREATE INDEX ON app.orders (tenant_id, account_id);
CREATE INDEX ON app.order_lines (tenant_id, product_id);

-- Somebody lives here already, with ids that the shop has too. The migration must not touch
-- these rows; deploy/shop/compare holds them against the copy in the schema `neighbour`.
INSERT INTO app.accounts
SELECT '00000000-0000-0000-0000-000000000002', n, 'TENANT#neighbour#' || n, 1,
       'user' || n || '@example.com', 'Neighbour ' || n, 0, '{}', NULL, '2024-01-01 00:00+00'
FROM generate_series(1, 100) AS n;
INSERT INTO app.products
SELECT '00000000-0000-0000-0000-000000000002', n, 'SKU-' || lpad(n::text, 6, '0'),
       'Theirs ' || n, n, NULL, n, NULL, '{}', NULL
FROM generate_series(1, 100) AS n;
INSERT INTO app.orders
SELECT '00000000-0000-0000-0000-000000000002', n, n, 'open', n, NULL, '2024-01-01 00:00+00', NULL
FROM generate_series(1, 100) AS n;
INSERT INTO app.order_lines
SELECT '00000000-0000-0000-0000-000000000002', n, 1, n, 1, n, NULL
FROM generate_series(1, 100) AS n;

CREATE SCHEMA neighbour;
CREATE TABLE neighbour.accounts AS TABLE app.accounts;
CREATE TABLE neighbour.products AS TABLE app.products;
CREATE TABLE neighbour.orders AS TABLE app.orders;
CREATE TABLE neighbour.order_lines AS TABLE app.order_lines;
COMMIT;

VACUUM ANALYZE;
