package receiver

// WhyRule is whyRule for tests.
var WhyRule = whyRule
