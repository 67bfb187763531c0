package testserver

import (
	"errors"
	"io"
	"net"
	"time"
)

// probe returns an error unless the server at addr accepts commands.
func probe(addr string, ready func(net.Conn) error) error {
	conn, err := net.DialTimeout("tcp", addr, 2*time.Second)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	if err := conn.SetDeadline(time.Now().Add(2 * time.Second)); err != nil {
		return err
	}
	return ready(conn)
}

var errNotReady = errors.New("the server does not accept commands yet")

// redisReady sends PING. Redis returns an error while it loads its data.
func redisReady(conn net.Conn) error {
	return expect(conn, "PING\r\n", "+PONG")
}

// postgresReady sends a startup message (protocol 3.0, user postgres) and waits
// for the authentication request. PostgreSQL returns an error while it starts.
func postgresReady(conn net.Conn) error {
	return expect(conn, "\x00\x00\x00\x17\x00\x03\x00\x00user\x00postgres\x00\x00", "R")
}

// mariadbReady waits for the greeting: a header of four bytes, then the protocol
// version 10.
func mariadbReady(conn net.Conn) error {
	greeting := make([]byte, 5)
	if _, err := io.ReadFull(conn, greeting); err != nil {
		return err
	}
	if greeting[4] != 10 {
		return errNotReady
	}
	return nil
}

func expect(conn net.Conn, request, response string) error {
	if _, err := io.WriteString(conn, request); err != nil {
		return err
	}
	got := make([]byte, len(response))
	if _, err := io.ReadFull(conn, got); err != nil {
		return err
	}
	if string(got) != response {
		return errNotReady
	}
	return nil
}
