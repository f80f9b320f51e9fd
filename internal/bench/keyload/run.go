package keyload

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"time"
)

// A Protocol makes requests and reads their answers.
type Protocol interface {
	One(address string) []byte
	Many(addresses []string) []byte
	Read(r *bufio.Reader, asked int) (found int, err error)
}

// Options say what is asked.
type Options struct {
	Addr        string
	Protocol    Protocol
	Known       int // addresses below this number are there
	Connections int
	Batch       int // addresses in a request
	Time        time.Duration
}

// A Result is what was answered.
type Result struct {
	Addresses int // asked and answered
	Found     int
	Took      time.Duration
}

// Rate is addresses a second.
func (r Result) Rate() float64 { return float64(r.Addresses) / r.Took.Seconds() }

// missesIn is one in so many addresses that are not there.
const missesIn = 5

// prepared is how many requests a connection goes round in.
const prepared = 2000

var errCounts = errors.New("the answers do not have what was asked for")

// Run asks on every connection, one request after the other, for Time. Each
// answer must have what is there and nothing else.
func Run(ctx context.Context, o Options) (Result, error) {
	ctx, cancel := context.WithTimeout(ctx, o.Time)
	defer cancel()
	var mu sync.Mutex
	var sum Result
	var errs []error
	var all sync.WaitGroup
	start := time.Now()
	for i := range o.Connections {
		all.Go(func() {
			r, err := o.connection(ctx, rand.New(rand.NewPCG(uint64(i), uint64(o.Batch))))
			mu.Lock()
			defer mu.Unlock()
			sum.Addresses += r.Addresses
			sum.Found += r.Found
			if err != nil {
				errs = append(errs, err)
			}
		})
	}
	all.Wait()
	sum.Took = time.Since(start)
	return sum, errors.Join(errs...)
}

type request struct {
	bytes []byte
	known int
}

func (o Options) requests(random *rand.Rand) []request {
	list := make([]request, max(1, prepared/o.Batch))
	for i := range list {
		addresses := make([]string, o.Batch)
		for j := range addresses {
			n := random.IntN(o.Known)
			if random.IntN(missesIn) == 0 {
				n += o.Known
			} else {
				list[i].known++
			}
			addresses[j] = Address(n)
		}
		if list[i].bytes = o.Protocol.Many(addresses); o.Batch == 1 {
			list[i].bytes = o.Protocol.One(addresses[0])
		}
	}
	return list
}

func (o Options) connection(ctx context.Context, random *rand.Rand) (r Result, err error) {
	requests := o.requests(random)
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", o.Addr)
	if err != nil {
		return r, err
	}
	defer conn.Close()
	in := bufio.NewReaderSize(conn, 64<<10)
	for i := 0; ctx.Err() == nil; i++ {
		q := requests[i%len(requests)]
		if err := conn.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
			return r, err
		}
		if _, err := conn.Write(q.bytes); err != nil {
			return r, err
		}
		found, err := o.Protocol.Read(in, o.Batch)
		if err != nil {
			return r, err
		}
		if found != q.known {
			return r, fmt.Errorf("%w: %d of %d", errCounts, found, q.known)
		}
		r.Addresses += o.Batch
		r.Found += found
	}
	return r, nil
}
