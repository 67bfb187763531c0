package guide

var newKey, oldKey []byte
