package text

// Class is a set of kinds of bytes. One pass over a text finds the kinds for all
// checks of it; see [Classes].
type Class uint16

// The kinds of bytes.
const (
	Lower      Class = 1 << iota // a to z
	Upper                        // A to Z
	Number                       // 0 to 9
	Underscore                   // _
	Mark                         // . ~ -
	At                           // @
	Plus                         // +
	Escape                       // % & begin an escaped character in a URL or in HTML
	PathMark                     // ! $ ' ( ) * , ; = : / which a URL's path may contain
	Quote                        // " \ which JSON escapes
	Space                        // the space
	Graph                        // other visible characters of ASCII
	Other                        // control characters, and bytes that are not ASCII
)

var classes = func() (table [256]Class) {
	for c := range table {
		switch {
		case c < ' ', c >= 0x7F:
			table[c] = Other
		case 'a' <= c && c <= 'z':
			table[c] = Lower
		case 'A' <= c && c <= 'Z':
			table[c] = Upper
		case '0' <= c && c <= '9':
			table[c] = Number
		default:
			table[c] = Graph
		}
	}
	for class, bytes := range map[Class]string{
		Underscore: "_", Mark: ".~-", At: "@", Plus: "+", Escape: "%&", PathMark: "!$'()*,;=:/", Quote: `"\`, Space: " ",
	} {
		for i := range len(bytes) {
			table[bytes[i]] = class
		}
	}
	return table
}()

// Classes returns the kinds of bytes in s.
func Classes(s string) Class {
	var all Class
	for len(s) >= 4 {
		all |= classes[s[0]] | classes[s[1]] | classes[s[2]] | classes[s[3]]
		s = s[4:]
	}
	for i := 0; i < len(s); i++ {
		all |= classes[s[i]]
	}
	return all
}
