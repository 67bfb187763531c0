CREATE TABLE orders (number varchar(64) NOT NULL PRIMARY KEY, cents bigint NOT NULL);
