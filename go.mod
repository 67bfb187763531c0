module github.com/clickid/clickid

go 1.25.0

require (
	github.com/gorilla/securecookie v1.1.2
	github.com/stretchr/testify v1.12.1
	golang.org/x/net v0.57.0
)

require go.yaml.in/yaml/v3 v3.0.5 // indirect
