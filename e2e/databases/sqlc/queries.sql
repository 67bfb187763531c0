-- name: CreateOrder :exec
INSERT INTO orders (number, cents) VALUES ($1, $2);
