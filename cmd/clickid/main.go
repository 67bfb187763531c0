// Command clickid keeps ad clicks and conversions together.
package main

func main() {}
