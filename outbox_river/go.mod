module github.com/clickid/clickid/outbox_river

go 1.22

require github.com/clickid/clickid v0.0.0

replace github.com/clickid/clickid => ..
