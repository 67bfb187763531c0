package networktest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"testing"
	"time"
)

// authority issues certificates.
type authority struct {
	certificate *x509.Certificate
	key         any
	pool        *x509.CertPool
}

// Certificate returns a certificate that a host name or address has signed
// itself, and its PEM for SSL_CERT_FILE.
func Certificate(t testing.TB, host string) (certificate tls.Certificate, trusted []byte) {
	t.Helper()
	certificate = issue(t, nil, host, time.Hour)
	return certificate, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate.Certificate[0]})
}

func newAuthority(t testing.TB) *authority {
	t.Helper()
	issued := issue(t, nil, "authority.test", time.Hour)
	a := &authority{certificate: issued.Leaf, key: issued.PrivateKey, pool: x509.NewCertPool()}
	a.pool.AddCert(a.certificate)
	return a
}

// issue returns a certificate of a host that is valid for the duration, or that
// has expired for a negative one.
func (a *authority) issue(t testing.TB, host string, valid time.Duration) tls.Certificate {
	t.Helper()
	return issue(t, a, host, valid)
}

// issue returns a certificate that is signed by by, or by itself.
func issue(t testing.TB, by *authority, host string, valid time.Duration) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: host}, DNSNames: []string{host},
		NotBefore: time.Now().Add(-24 * time.Hour), NotAfter: time.Now().Add(valid),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if ip := net.ParseIP(host); ip != nil {
		template.DNSNames, template.IPAddresses = nil, []net.IP{ip}
	}
	parent, signer := template, any(key)
	if by == nil {
		template.IsCA, template.BasicConstraintsValid = true, true
		template.KeyUsage |= x509.KeyUsageCertSign
	} else {
		parent, signer = by.certificate, by.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}
