module github.com/clickid/clickid/store_sql

go 1.25.0

require (
	github.com/clickid/clickid v0.1.0
	github.com/stretchr/testify v1.12.1
)

require (
	github.com/gorilla/securecookie v1.1.2 // indirect
	go.yaml.in/yaml/v3 v3.0.5 // indirect
	golang.org/x/net v0.57.0 // indirect
)

replace github.com/clickid/clickid => ..
