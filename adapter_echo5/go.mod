module github.com/clickid/clickid/adapter_echo5

go 1.25.0

require (
	github.com/clickid/clickid v0.1.0
	github.com/labstack/echo/v5 v5.4.4
)

require (
	github.com/gorilla/securecookie v1.1.2 // indirect
	golang.org/x/net v0.57.0 // indirect
	golang.org/x/time v0.15.0 // indirect
)

replace github.com/clickid/clickid => ..
