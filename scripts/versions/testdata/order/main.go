// Order starts the README's program, lands there on an ad, orders, and expects
// the conversion at a receiver. The release rehearsal builds it outside of the
// repository.
package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/exec"
	"time"

	"github.com/clickid/clickid/clickidtest"
)

const clickID = "01ARZ3NDEKTSV4RRFFQ69G5FAV"

func main() {
	log.SetFlags(0)
	if len(os.Args) != 2 {
		log.Fatal("usage: order PROGRAM")
	}
	if err := order(os.Args[1]); err != nil {
		log.Fatal("order: ", err)
	}
}

func order(program string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	receiver, err := clickidtest.Start("127.0.0.1:0", clickidtest.Config{Accounts: []clickidtest.Account{{
		APIKey:       clickidtest.Any,
		DataSets:     []string{clickidtest.Any},
		EventSources: []string{clickidtest.Any},
		Advertisers:  []string{clickidtest.Any},
	}}})
	if err != nil {
		return err
	}
	defer receiver.Close()
	port, err := freePort()
	if err != nil {
		return err
	}
	shop := exec.CommandContext(ctx, program)
	shop.Env = append(os.Environ(), "PORT="+port, "CLICKID_BASE_URL="+receiver.URL, "CLICKID_API_KEY=scope3_local")
	shop.Stdout, shop.Stderr = os.Stderr, os.Stderr
	if err := shop.Start(); err != nil {
		return err
	}
	defer func() { _, _ = shop.Process.Kill(), shop.Wait() }()

	cookies, err := land(ctx, "http://127.0.0.1:"+port+"/?clkid="+clickID)
	if err != nil {
		return err
	}
	if len(cookies) != 1 {
		return fmt.Errorf("the landing page set %d cookies instead of one", len(cookies))
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://127.0.0.1:"+port+"/orders", nil)
	if err != nil {
		return err
	}
	req.AddCookie(cookies[0])
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	page, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	fmt.Printf("%s", page)
	accepted, err := receiver.Wait(ctx, 1)
	if err != nil {
		return fmt.Errorf("waiting for the conversion: %w", err)
	}
	if accepted[0].ClickID != clickID {
		return fmt.Errorf("the conversion has another click ID than the landing page")
	}
	return nil
}

// freePort returns a port that nothing listens on.
func freePort() (string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer listener.Close()
	_, port, err := net.SplitHostPort(listener.Addr().String())
	return port, err
}

// land requests a page as soon as the program responds.
func land(ctx context.Context, url string) ([]*http.Cookie, error) {
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return nil, err
		}
		resp, err := http.DefaultClient.Do(req)
		if err == nil {
			return resp.Cookies(), resp.Body.Close()
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(20 * time.Millisecond):
		}
	}
}
