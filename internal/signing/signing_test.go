package signing_test

import (
	"bytes"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/clickid/clickid/internal/signing"
)

var (
	first, second = bytes.Repeat([]byte("k"), 32), bytes.Repeat([]byte("l"), 32)
	signer        = signing.New([][]byte{first})
)

// golden is a token of the first key, made by gorilla/securecookie v1.1.2. Tokens
// that visitors hold must stay valid.
const golden = "MTc5NTY4MDcxN3xZU0J3WVhsc2IyRmt89DLGd7KtWPQXJc_3d_5gmCpdfG0Sg79O8RqIlXTNjFs"

func sign(t *testing.T, payload []byte) string {
	token, err := signer.Sign("purpose", payload)
	if err != nil {
		t.Error(err)
	}
	return token
}

func TestSigner_golden(t *testing.T) {
	payload, err := signer.Verify("purpose", golden, []byte("before "))
	if err != nil || string(payload) != "before a payload" {
		t.Errorf("Verify returns %q and %v", payload, err)
	}
}

func TestSigner_Verify(t *testing.T) {
	tests := map[string]struct {
		signer         *signing.Signer
		purpose, token string
		want           error
	}{
		"the second of two keys":        {signing.New([][]byte{second, first}), "purpose", golden, nil},
		"another key":                   {signing.New([][]byte{second}), "purpose", golden, signing.ErrSignature},
		"another purpose":               {signer, "other", golden, signing.ErrSignature},
		"another time":                  {signer, "purpose", strings.Replace(golden, "MTc5", "MTc4", 1), signing.ErrSignature},
		"another last bit":              {signer, "purpose", golden[:len(golden)-1] + "t", signing.ErrMalformed},
		"cut short":                     {signer, "purpose", golden[:40], signing.ErrMalformed},
		"cut before the MAC's end":      {signer, "purpose", golden[:len(golden)-3], signing.ErrSignature},
		"with padding":                  {signer, "purpose", golden + "=", signing.ErrMalformed},
		"with a line break":             {signer, "purpose", golden[:8] + "\n" + golden[8:], signing.ErrMalformed},
		"not base64":                    {signer, "purpose", strings.Repeat("~", 80), signing.ErrMalformed},
		"empty":                         {signer, "purpose", "", signing.ErrMalformed},
		"a payload that is long":        {signer, "purpose", sign(t, make([]byte, 4000)), nil},
		"a payload that is empty":       {signer, "purpose", sign(t, nil), nil},
		"a purpose that swallows a bar": {signer, "purpose|1795680717", golden, signing.ErrSignature},
	}
	for name, tt := range tests {
		payload, err := tt.signer.Verify(tt.purpose, tt.token, nil)
		if !errors.Is(err, tt.want) || err != nil && payload != nil {
			t.Errorf("%s: Verify returns %q and %v", name, payload, err)
		}
	}
}

// TestSigner_concurrent shares the buffers between goroutines.
func TestSigner_concurrent(t *testing.T) {
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			want := bytes.Repeat([]byte{byte(i)}, 100*i)
			for range 200 {
				payload, err := signer.Verify("purpose", sign(t, want), nil)
				if err != nil || !bytes.Equal(payload, want) {
					t.Errorf("Verify returns %q and %v", payload, err)
				}
			}
		})
	}
	wg.Wait()
}
