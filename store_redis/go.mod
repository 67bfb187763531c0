module github.com/clickid/clickid/store_redis

go 1.25.0

require (
	github.com/clickid/clickid v0.1.0
	github.com/redis/go-redis/v9 v9.16.0
	github.com/stretchr/testify v1.12.1
)

require (
	github.com/cespare/xxhash/v2 v2.3.0 // indirect
	github.com/dgryski/go-rendezvous v0.0.0-20200823014737-9f7001d12a5f // indirect
	github.com/gorilla/securecookie v1.1.2 // indirect
	go.yaml.in/yaml/v3 v3.0.5 // indirect
	golang.org/x/net v0.57.0 // indirect
)

replace github.com/clickid/clickid => ..
