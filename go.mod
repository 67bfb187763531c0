module github.com/clickid/clickid

go 1.22

require (
	github.com/gorilla/securecookie v1.1.2
	github.com/stretchr/testify v1.11.1
	golang.org/x/net v0.35.0
)
