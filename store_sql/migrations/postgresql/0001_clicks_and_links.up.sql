-- Clicks and links of clickid for PostgreSQL. The names begin with clickid_:
-- replace it everywhere to have another prefix.

-- One row per ad click. token_hash is the SHA-256 of the visitor's token.
CREATE TABLE IF NOT EXISTS clickid_clicks (
    token_hash         bytea        NOT NULL CHECK (octet_length(token_hash) = 32),
    click_id           varchar(512) NOT NULL,
    param              varchar(64)  NOT NULL,
    landing_ip         varchar(45)  NOT NULL DEFAULT '',
    landing_user_agent varchar(512) NOT NULL DEFAULT '',
    captured_at        timestamptz  NOT NULL,
    expires_at         timestamptz  NOT NULL,
    PRIMARY KEY (token_hash)
);

CREATE INDEX IF NOT EXISTS clickid_clicks_expires_at ON clickid_clicks (expires_at);

-- One row per session, customer or order that a click belongs to. key_hash is
-- the SHA-256 of its kind and value. Only the value decrypts sealed_token.
CREATE TABLE IF NOT EXISTS clickid_links (
    key_hash     bytea       NOT NULL CHECK (octet_length(key_hash) = 32),
    token_hash   bytea       NOT NULL CHECK (octet_length(token_hash) = 32),
    sealed_token bytea       NOT NULL,
    expires_at   timestamptz NOT NULL,
    PRIMARY KEY (key_hash)
);

CREATE INDEX IF NOT EXISTS clickid_links_token_hash ON clickid_links (token_hash);

CREATE INDEX IF NOT EXISTS clickid_links_expires_at ON clickid_links (expires_at);
