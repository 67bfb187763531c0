// Package iso4217 knows the currencies of ISO 4217 and their minor units.
package iso4217

import (
	"strings"

	"github.com/clickid/clickid/internal/text"
)

// Code returns the code of a currency in upper case.
func Code(currency string) (code string, ok bool) {
	code = strings.ToUpper(strings.Trim(currency, " "))
	// ToUpper would turn "ſ" into S.
	letters := strings.Trim(currency, " ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz") == ""
	return code, letters && len(code) == 3 && !strings.Contains(code, " ")
}

// Stripe returns the number of decimals in Stripe's API.
func Stripe(code string) int {
	switch code {
	case "ISK", "UGX":
		return 2
	case "MGA":
		return 0
	}
	return Exponent(code)
}

// Adyen returns the number of decimals in Adyen's API.
func Adyen(code string) int {
	switch code {
	case "CLP", "ISK":
		return 2
	case "CVE", "IDR":
		return 0
	}
	return Exponent(code)
}

// Exponent returns the number of decimals of a currency in list one. Most
// currencies have two.
func Exponent(code string) int {
	switch code {
	case "BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF",
		"UGX", "UYI", "VND", "VUV", "XAF", "XOF", "XPF":
		return 0
	case "BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND":
		return 3
	case "CLF", "UYW":
		return 4
	}
	return 2
}

// codes are the codes in list one as of 2026, without metals and test codes.
const codes = " AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BHD BIF BMD BND BOB BOV BRL BSD BTN BWP BYN BZD" +
	" CAD CDF CHE CHF CHW CLF CLP CNY COP COU CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP" +
	" GMD GNF GTQ GYD HKD HNL HTG HUF IDR ILS INR IQD IRR ISK JMD JOD JPY KES KGS KHR KMF KPW KRW KWD KYD KZT LAK LBP" +
	" LKR LRD LSL LYD MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MXV MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN" +
	" PGK PHP PKR PLN PYG QAR RON RSD RUB RWF SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT" +
	" TND TOP TRY TTD TWD TZS UAH UGX USD USN UYI UYU UYW UZS VED VES VND VUV WST XAD XAF XCD XCG XDR XOF XPF XSU XUA" +
	" YER ZAR ZMW ZWG "

// listed has a bit for each code of three letters.
var listed = func() (table [(26*26*26 + 63) / 64]uint64) {
	for code := range strings.FieldsSeq(codes) {
		at := position(code)
		table[at/64] |= 1 << (at % 64)
	}
	return table
}()

func position(code string) uint {
	return (uint(code[0]-'A')*26+uint(code[1]-'A'))*26 + uint(code[2]-'A')
}

// Listed reports whether a currency is in list one.
func Listed(code string) bool {
	if len(code) != 3 || text.Classes(code) != text.Upper {
		return false
	}
	at := position(code)
	return listed[at/64]&(1<<(at%64)) != 0
}
