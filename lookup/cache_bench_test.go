package lookup_test

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"sealpost/internal/testkit"
	"sealpost/lookup"
)

// BenchmarkCacheFile writes b.N addresses, opens the file again, and reads them:
// what a month-end run leaves behind, and what a restart costs. With
// -benchtime=1000000x it is the million.
func BenchmarkCacheFile(b *testing.B) {
	answer := usable(issue(b, testkit.NewCA(b), testkit.Leaf{Addresses: []string{anna}}))
	opts := lookup.CacheFileOptions{Path: filepath.Join(b.TempDir(), "cache"), Entries: 1 << 30}
	open := func() (*lookup.CacheFile, *lookup.Cache) {
		file, err := lookup.OpenCacheFile(opts)
		if err != nil {
			b.Fatal(err)
		}
		cache, err := lookup.NewCache(always(answer), lookup.CacheOptions{Entries: 1, File: file, Refreshers: -1})
		if err != nil {
			b.Fatal(err)
		}
		return file, cache
	}
	ask := func(cache *lookup.Cache, file *lookup.CacheFile) time.Duration {
		start := time.Now()
		for i := range b.N {
			cache.Lookup(context.Background(), parse(b, fmt.Sprintf("recipient.%d@example.org", i*7919%b.N)))
			if i%10000 == 9999 {
				if err := file.Sync(); err != nil {
					b.Fatal(err)
				}
			}
		}
		return time.Since(start)
	}
	file, cache := open()
	wrote := ask(cache, file)
	cache.Close()
	if err := file.Close(); err != nil {
		b.Fatal(err)
	}
	start := time.Now()
	file, cache = open()
	opened := time.Since(start)
	b.ResetTimer()
	read := ask(cache, file)
	if s := file.Stats(); int(s.Hits) < b.N/2 {
		b.Fatalf("%+v", s)
	}
	cache.Close()
	if err := file.Close(); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(wrote.Microseconds())/float64(b.N), "us/write")
	b.ReportMetric(float64(read.Microseconds())/float64(b.N), "us/read")
	b.ReportMetric(float64(opened.Microseconds())/1000, "ms/open")
}
