-- Clicks and links of clickid for MySQL 8 and MariaDB. The names begin with
-- clickid_: replace it everywhere to have another prefix. Times are in UTC.

-- One row per ad click. token_hash is the SHA-256 of the visitor's token.
CREATE TABLE IF NOT EXISTS clickid_clicks (
    token_hash         BINARY(32)   NOT NULL,
    click_id           VARCHAR(512) NOT NULL,
    param              VARCHAR(64)  NOT NULL,
    landing_ip         VARCHAR(45)  NOT NULL DEFAULT '',
    landing_user_agent VARCHAR(512) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL DEFAULT '',
    captured_at        DATETIME     NOT NULL,
    expires_at         DATETIME     NOT NULL,
    PRIMARY KEY (token_hash),
    KEY expires_at (expires_at)
) ENGINE = InnoDB, CHARACTER SET = ascii, COLLATE = ascii_bin;

-- One row per session, customer or order that a click belongs to. key_hash is
-- the SHA-256 of its kind and value. Only the value decrypts sealed_token.
CREATE TABLE IF NOT EXISTS clickid_links (
    key_hash     BINARY(32)     NOT NULL,
    token_hash   BINARY(32)     NOT NULL,
    sealed_token VARBINARY(2028) NOT NULL,
    expires_at   DATETIME       NOT NULL,
    PRIMARY KEY (key_hash),
    KEY token_hash (token_hash),
    KEY expires_at (expires_at)
) ENGINE = InnoDB, CHARACTER SET = ascii, COLLATE = ascii_bin;
