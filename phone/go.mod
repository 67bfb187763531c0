module github.com/clickid/clickid/phone

go 1.25.0

require (
	github.com/clickid/clickid v0.1.0
	github.com/nyaruka/phonenumbers v1.8.1
)

require (
	github.com/gorilla/securecookie v1.1.2 // indirect
	golang.org/x/net v0.57.0 // indirect
	golang.org/x/text v0.40.0 // indirect
	google.golang.org/protobuf v1.36.11 // indirect
)

replace github.com/clickid/clickid => ..
