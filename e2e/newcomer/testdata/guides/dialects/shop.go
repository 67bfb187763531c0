package guide

import "github.com/clickid/clickid"

var store clickid.Store
