-- Clicks and links of clickid for SQLite 3.37 or later. The names begin with
-- clickid_: replace it everywhere to have another prefix. Times are seconds
-- since 1970 in UTC.

-- One row per ad click. token_hash is the SHA-256 of the visitor's token.
CREATE TABLE IF NOT EXISTS clickid_clicks (
    token_hash         BLOB    NOT NULL PRIMARY KEY CHECK (length(token_hash) = 32),
    click_id           TEXT    NOT NULL,
    param              TEXT    NOT NULL,
    landing_ip         TEXT    NOT NULL DEFAULT '',
    landing_user_agent TEXT    NOT NULL DEFAULT '',
    captured_at        INTEGER NOT NULL,
    expires_at         INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX IF NOT EXISTS clickid_clicks_expires_at ON clickid_clicks (expires_at);

-- One row per session, customer or order that a click belongs to. key_hash is
-- the SHA-256 of its kind and value. Only the value decrypts sealed_token.
CREATE TABLE IF NOT EXISTS clickid_links (
    key_hash     BLOB    NOT NULL PRIMARY KEY CHECK (length(key_hash) = 32),
    token_hash   BLOB    NOT NULL CHECK (length(token_hash) = 32),
    sealed_token BLOB    NOT NULL,
    expires_at   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX IF NOT EXISTS clickid_links_token_hash ON clickid_links (token_hash);

CREATE INDEX IF NOT EXISTS clickid_links_expires_at ON clickid_links (expires_at);
