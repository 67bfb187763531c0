//go:build !race

package sending_test

const raceDetector = false
