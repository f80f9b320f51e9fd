package load

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"strconv"
	"time"
)

// A client is a plain SMTP client that pipelines, as a bulk mailer does.
type client struct {
	conn net.Conn
	in   *bufio.Reader
	cmd  []byte
	head []byte
}

// stall is how long any one message may take.
const stall = 5 * time.Minute

func dial(ctx context.Context, addr string) (*client, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	c := &client{conn: conn, in: bufio.NewReader(conn)}
	if err := c.hello(); err != nil {
		conn.Close()
		return nil, err
	}
	return c, nil
}

func (c *client) hello() error {
	if err := c.conn.SetDeadline(time.Now().Add(stall)); err != nil {
		return err
	}
	if err := c.reply('2'); err != nil {
		return err
	}
	if _, err := c.conn.Write([]byte("EHLO load.src.test\r\n")); err != nil {
		return err
	}
	return c.reply('2')
}

// send brings one message to the server: two round trips.
func (c *client) send(seq, rcpts int, b *body) error {
	if err := c.conn.SetDeadline(time.Now().Add(stall)); err != nil {
		return err
	}
	c.cmd = strconv.AppendInt(append(c.cmd[:0], "MAIL FROM:<s"...), int64(seq), 10)
	c.cmd = append(c.cmd, "@src.test>\r\n"...)
	for i := range rcpts {
		c.cmd = append(c.cmd, "RCPT TO:<"...)
		c.cmd = append(c.cmd, b.to(seq*rcpts+i)...)
		c.cmd = append(c.cmd, ">\r\n"...)
	}
	if _, err := c.conn.Write(append(c.cmd, "DATA\r\n"...)); err != nil {
		return err
	}
	for range 1 + rcpts {
		if err := c.reply('2'); err != nil {
			return err
		}
	}
	if err := c.reply('3'); err != nil {
		return err
	}
	c.head = b.header(c.head[:0], seq, rcpts)
	content := net.Buffers{c.head, b.entity, []byte(".\r\n")}
	if _, err := content.WriteTo(c.conn); err != nil {
		return err
	}
	return c.reply('2')
}

func (c *client) quit() {
	if _, err := c.conn.Write([]byte("QUIT\r\n")); err == nil {
		_ = c.reply('2') // the server may be gone already
	}
	c.conn.Close()
}

// reply reads one reply of any number of lines, which must be of a class.
func (c *client) reply(class byte) error {
	for {
		line, err := c.in.ReadSlice('\n')
		switch {
		case err != nil:
			return err
		case len(line) < 5 || line[0] != class:
			return fmt.Errorf("the server said %q", line)
		case line[3] != '-':
			return nil
		}
	}
}

// An Idle is a connection on which nothing happens.
type Idle struct{ c *client }

// DialIdle opens a connection and says EHLO. With a size, it then sends one
// message of so many octets: a server may keep more for a client that has
// been busy.
func DialIdle(ctx context.Context, addr string, size int) (Idle, error) {
	c, err := dial(ctx, addr)
	if err != nil || size == 0 {
		return Idle{c}, err
	}
	if err := c.send(int(sequence.Add(1)), 1, newBody(size, Recipient)); err != nil {
		c.conn.Close()
		return Idle{}, err
	}
	return Idle{c}, nil
}

// Close ends the connection.
func (i Idle) Close() error { return i.c.conn.Close() }
